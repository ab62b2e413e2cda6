using InteropInterp.Native.Interop;
using static TorchSharp.torch;

namespace InteropInterp.Tensors;

/// <summary>A tensor that is going to be written.</summary>
/// <param name="Shape">In torch's order; empty for a single number.</param>
public sealed record TensorDeclaration(string Name, StorageType Type, IReadOnlyList<long> Shape);

/// <summary>
/// Writes a safetensors file whose tensors are all declared first, and then come in any order, so that no more than one of them
/// need be in memory. The file appears under its name, whole and on disk, at <see cref="Commit"/>, and never otherwise. Bytes are
/// those of the reference implementation for the same tensors (and at most one metadata entry: it leaves their order open; here
/// they are sorted). Not for several threads at once.
/// </summary>
public sealed class SafeTensorsWriter : IDisposable
{
    private readonly AtomicFile file;
    private readonly Dictionary<string, TensorEntry> entries;
    private readonly Dictionary<string, long> written = new(StringComparer.Ordinal);

    private SafeTensorsWriter(AtomicFile file, Dictionary<string, TensorEntry> entries)
    {
        this.file = file;
        this.entries = entries;
    }

    /// <summary>Where each tensor will lie.</summary>
    public IReadOnlyDictionary<string, TensorEntry> Entries => entries;

    /// <exception cref="InterpException">NAME_INVALID, DUPLICATE_TENSOR, TENSOR_TOO_LARGE, SAFETENSORS_HEADER_TOO_LONG;
    /// FILE_NOT_WRITABLE, also where the disk has no room for all of it.</exception>
    public static SafeTensorsWriter Create(
        string path, IEnumerable<TensorDeclaration> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        var layout = SafeTensorsLayout.Plan(tensors, metadata);
        var file = AtomicFile.Create(path, layout.FileLength);
        try
        {
            file.Write(0, layout.Header);
            return new SafeTensorsWriter(file, layout.Entries);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Writes a tensor of the declared shape and type, of any strides and device. Types that torch lacks (F8, U16, ...) are given
    /// as their bytes, uint8 [length].
    /// </summary>
    /// <exception cref="InterpException">UNKNOWN_TENSOR, TENSOR_MISMATCH, TENSOR_WRITTEN_TWICE, FILE_NOT_WRITABLE.</exception>
    public void Write(string name, Tensor value)
    {
        var entry = Find(name);
        var (dtype, shape) = (value.dtype, value.shape);
        var (wantedType, wantedShape) = entry.Type.Torch() is { } torch ? (torch, entry.Shape) : (ScalarType.Byte, [entry.Length]);
        if (dtype != wantedType || !shape.AsSpan().SequenceEqual(wantedShape.ToArray()))
            throw InterpException.Invalid("TENSOR_MISMATCH",
                $"Tensor {Quoted.Name(name)} was declared as {wantedType} [{string.Join(", ", wantedShape)}], "
                + $"and is {dtype} [{string.Join(", ", shape)}].");
        if (written.ContainsKey(name)) throw Twice(name);
        TensorBytes.ForEach(value, bytes => Append(entry, bytes));
    }

    /// <summary>Writes the next bytes of a tensor, row-major and little-endian; as many calls as it takes.</summary>
    /// <exception cref="InterpException">UNKNOWN_TENSOR; TENSOR_WRITTEN_TWICE where it gets more bytes than it has;
    /// FILE_NOT_WRITABLE.</exception>
    public void WriteBytes(string name, ReadOnlySpan<byte> bytes) => Append(Find(name), bytes);

    /// <summary>Makes the file appear, replacing what had its name; it is on disk when this returns.</summary>
    /// <exception cref="InterpException">TENSOR_NOT_WRITTEN, naming the tensor; FILE_NOT_WRITABLE.</exception>
    public void Commit()
    {
        foreach (var entry in entries.Values)
            if (written.GetValueOrDefault(entry.Name) is var bytes && bytes != entry.Length)
                throw InterpException.Precondition("TENSOR_NOT_WRITTEN",
                    $"Tensor {Quoted.Name(entry.Name)} of '{file.Path}' got {bytes:N0} of its {entry.Length:N0} bytes.");
        file.Commit();
    }

    /// <summary>Without <see cref="Commit"/> nothing is left behind.</summary>
    public void Dispose() => file.Dispose();

    private TensorEntry Find(string name) => entries.TryGetValue(name, out var entry)
        ? entry
        : throw InterpException.Unknown("UNKNOWN_TENSOR", $"tensor declared for '{file.Path}'", name, entries.Keys);

    private void Append(TensorEntry entry, ReadOnlySpan<byte> bytes)
    {
        var done = written.GetValueOrDefault(entry.Name);
        if (bytes.Length > entry.Length - done) throw Twice(entry.Name);
        file.Write(entry.Offset + done, bytes);
        written[entry.Name] = done + bytes.Length;
    }

    private InterpException Twice(string name) => InterpException.Invalid("TENSOR_WRITTEN_TWICE",
        $"Tensor {Quoted.Name(name)} of '{file.Path}' is written already, or gets more bytes than declared.");
}
