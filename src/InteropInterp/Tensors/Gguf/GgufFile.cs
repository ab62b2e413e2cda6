using InteropInterp.Native.Interop;
using static TorchSharp.torch;

namespace InteropInterp.Tensors.Gguf;

/// <summary>
/// A GGUF, versions 2 and 3 (docs/gguf.md of github.com/ggml-org/ggml), mapped into memory. Shapes are in torch's order: a linear
/// layer is [out, in]. Quantised weights are read as floating-point numbers.
/// </summary>
public sealed class GgufFile : ITensorSource
{
    private readonly MappedTensors tensors;

    private GgufFile(MappedFile file, GgufHeader header)
    {
        tensors = new MappedTensors(file, header.Entries);
        Path = file.Path;
        Version = header.Version;
        Values = header.Values;
        Metadata = header.Values.Where(pair => pair.Value is string).ToDictionary(pair => pair.Key, pair => (string)pair.Value);
    }

    public string Path { get; }

    /// <summary>Of the format.</summary>
    public int Version { get; }

    public IReadOnlyDictionary<string, TensorEntry> Entries => tensors.Entries;

    /// <summary>
    /// The metadata. Integers are long (uint64: ulong), numbers double, then bool and string; arrays keep the width of the file:
    /// string[], bool[], int[], float[] and so on. <see cref="Value{T}"/> reads one key.
    /// </summary>
    public IReadOnlyDictionary<string, object> Values { get; }

    /// <summary>Those of <see cref="Values"/> that are text.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <exception cref="InterpException">GGUF_*: what in the file is not as the format says; FILE_NOT_FOUND and the like.</exception>
    public static GgufFile Open(string path)
    {
        var file = MappedFile.Open(path);
        try
        {
            return new GgufFile(file, GgufHeader.Read(file));
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>One metadata value; long, double, bool, string or an array type.</summary>
    /// <exception cref="InterpException">UNKNOWN_METADATA; METADATA_TYPE, naming the type that the file has.</exception>
    public T Value<T>(string key)
    {
        if (!Values.TryGetValue(key, out var value))
            throw InterpException.Unknown("UNKNOWN_METADATA", $"metadata key of '{Path}'", key, Values.Keys);
        return value is T typed ? typed : throw InterpException.DataLoss("METADATA_TYPE",
            $"'{Path}': the metadata value {Quoted.Name(key)} is a {value.GetType().Name}, expected a {typeof(T).Name}.");
    }

    public Tensor Read(string name) => tensors.Read(name);

    public Tensor Read(string name, ScalarType dtype) => tensors.Read(name, dtype);

    public Tensor ReadBytes(string name) => tensors.ReadBytes(name);

    public void Dispose() => tensors.Dispose();
}
