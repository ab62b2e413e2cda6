using InteropInterp.Native.Interop;
using static TorchSharp.torch;

namespace InteropInterp.Tensors;

/// <summary>The tensors of one mapped file: what every <see cref="ITensorSource"/> reads through.</summary>
internal sealed class MappedTensors(MappedFile file, IReadOnlyDictionary<string, TensorEntry> entries) : IDisposable
{
    // A whole number of blocks in every format; small enough that what is in flight does not count.
    private const int ChunkElements = 1 << 20;

    // What one thread decodes of a chunk; a whole number of blocks as well.
    private const int PieceElements = 1 << 17;

    // Ranges that a tensor looks at: it may have been written to, and giving the pages back would undo that.
    private readonly HashSet<string> viewed = [];
    private readonly Lock gate = new();

    public IReadOnlyDictionary<string, TensorEntry> Entries => entries;

    public Tensor Read(string name)
    {
        var entry = Find(name);
        var dtype = entry.Type.Torch() ?? throw InterpException.Invalid("DTYPE_NOT_IN_TORCH",
            $"'{file.Path}': tensor {Quoted.Name(name)} is stored as {entry.Format}, which torch has no type for; "
            + "read it as float32, or its bytes.");
        using var reference = file.AddReference();
        if (entry.Type == StorageType.BOOL) CheckFlags(entry);
        return View(entry, dtype, entry.Shape);
    }

    public Tensor ReadBytes(string name)
    {
        var entry = Find(name);
        return View(entry, ScalarType.Byte, [entry.Length]);
    }

    public Tensor Read(string name, ScalarType dtype)
    {
        var entry = Find(name);
        if (entry.Type.Torch() == dtype) return Read(name);
        var decoding = StoredNumbers.For(entry, dtype);
        var readable = decoding is not null || entry.Type.Torch() is not (null or ScalarType.ComplexFloat32);
        if (!readable || !is_floating_point(dtype))
            throw InterpException.Invalid("DTYPE_NOT_READABLE",
                $"'{file.Path}': tensor {Quoted.Name(name)} is stored as {entry.Format} and cannot be read as {dtype}; "
                + (readable ? "floating-point types are." : "its bytes can be read."));
        using var reference = file.AddReference();
        if (entry.Type == StorageType.BOOL) CheckFlags(entry);
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var result = empty(entry.Shape.ToArray(), dtype, CPU);
        HugePages.Advise(Blob.Address(result), result.numel() * result.element_size());
        if (entry.Count > 0 && decoding is null) Convert(entry, entry.Type.Torch()!.Value, result.view(-1));
        if (entry.Count > 0 && decoding is not null) Decode(entry, decoding, result.view(-1));
        return result.MoveToOuterDisposeScope();
    }

    public void Dispose() => file.Dispose();

    private TensorEntry Find(string name) => entries.TryGetValue(name, out var entry)
        ? entry
        : throw InterpException.Unknown("UNKNOWN_TENSOR", $"tensor of '{file.Path}'", name, entries.Keys);

    private Tensor View(TensorEntry entry, ScalarType dtype, IReadOnlyList<long> shape)
    {
        if (entry.Length == 0) return empty(shape.ToArray(), dtype, CPU);
        var reference = file.AddReference();
        var data = file.Pointer(entry.Offset, entry.Length);
        if (!IsAligned(data, dtype))
            using (reference) return CopyOf(entry, dtype, shape);
        lock (gate) viewed.Add(entry.Name);
        return Blob.Own(data, shape.ToArray(), dtype, reference);
    }

    private Tensor CopyOf(TensorEntry entry, ScalarType dtype, IReadOnlyList<long> shape)
    {
        var copy = empty(shape.ToArray(), dtype, CPU);
        var address = Blob.Address(copy);
        HugePages.Advise(address, entry.Length);
        for (var start = 0L; start < entry.Length; start += ChunkElements)
        {
            var length = Math.Min(ChunkElements, entry.Length - start);
            CopyMemory(file.Pointer(entry.Offset + start, length), address + (nint)start, length);
            Release(entry, start, length);
        }
        return copy;
    }

    // From one torch dtype to another, a chunk at a time, so that pages can go as they are done with.
    private void Convert(TensorEntry entry, ScalarType stored, Tensor result)
    {
        var size = entry.Type.Bits() / 8;
        var isAligned = IsAligned(file.Pointer(entry.Offset, entry.Length), stored);
        var aligned = isAligned ? IntPtr.Zero : Blob.Address(empty(Math.Min(entry.Count, ChunkElements), stored, CPU));
        for (var start = 0L; start < entry.Count; start += ChunkElements)
        {
            using var scope = NewDisposeScope();
            var count = Math.Min(ChunkElements, entry.Count - start);
            var source = file.Pointer(entry.Offset + start * size, count * size);
            if (!isAligned) CopyMemory(source, aligned, count * size);
            result.narrow(0, start, count).copy_(Blob.View(isAligned ? source : aligned, [count], stored));
            Release(entry, start * size, count * size);
        }
    }

    private void Decode(TensorEntry entry, StoredNumbers stored, Tensor result)
    {
        var direct = result.dtype == stored.Into;
        var decoded = direct ? result : empty(Math.Min(entry.Count, ChunkElements), stored.Into, CPU);
        var address = Blob.Address(decoded);
        for (var start = 0L; start < entry.Count; start += ChunkElements)
        {
            using var scope = NewDisposeScope();
            var count = (int)Math.Min(ChunkElements, entry.Count - start);
            var (from, bytes) = (start / stored.BlockSize * stored.BlockBytes, (long)count / stored.BlockSize * stored.BlockBytes);
            var target = direct ? address + (nint)(start * stored.ElementSize) : address;
            DecodeChunk(stored, file.Pointer(entry.Offset + from, bytes), target, count);
            if (!direct) result.narrow(0, start, count).copy_(decoded.narrow(0, 0, count));
            Release(entry, from, bytes);
        }
    }

    private static void DecodeChunk(StoredNumbers stored, IntPtr source, IntPtr target, int count)
    {
        var threads = new ParallelOptions { MaxDegreeOfParallelism = get_num_threads() };
        Parallel.For(0, (count + PieceElements - 1) / PieceElements, threads, i =>
        {
            var first = i * PieceElements;
            var (from, to) = (source + first / stored.BlockSize * stored.BlockBytes, target + first * stored.ElementSize);
            stored.Decode(from, to, Math.Min(PieceElements, count - first));
        });
    }

    // The page where two chunks meet is kept by both, so a chunk starts one page early; never outside the tensor.
    private void Release(TensorEntry entry, long start, long length)
    {
        var early = Math.Min(start, Environment.SystemPageSize);
        lock (gate)
            if (!viewed.Contains(entry.Name)) file.Release(entry.Offset + start - early, length + early);
    }

    // Any other byte as a bool is undefined behaviour in libtorch's kernels.
    private void CheckFlags(TensorEntry entry)
    {
        for (var start = 0L; start < entry.Length; start += ChunkElements)
        {
            var bytes = file.Span(entry.Offset + start, (int)Math.Min(ChunkElements, entry.Length - start));
            if (bytes.ContainsAnyExceptInRange((byte)0, (byte)1))
                throw InterpException.DataLoss("BOOL_INVALID",
                    $"'{file.Path}': tensor {Quoted.Name(entry.Name)} is BOOL and has a byte that is neither 0 nor 1.");
        }
    }

    private static bool IsAligned(IntPtr data, ScalarType dtype) => data % Math.Max(1, StorageTypes.Of(dtype).Bits() / 8) == 0;

    private static unsafe void CopyMemory(IntPtr from, IntPtr to, long length) => Buffer.MemoryCopy((void*)from, (void*)to, length, length);
}
