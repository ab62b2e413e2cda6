using InteropInterp.Native.Interop;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tensors;

/// <summary>The elements of a tensor as bytes, row-major, whatever its strides and device, without a second copy of it all.</summary>
internal static class TensorBytes
{
    // What of a strided tensor, or one on another device, is put in order at a time.
    private const long Staging = 16 << 20;

    public delegate void Sink(ReadOnlySpan<byte> bytes);

    /// <exception cref="InterpException">TENSOR_NOT_DENSE.</exception>
    public static void ForEach(Tensor tensor, Sink sink)
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        if (tensor.is_sparse || tensor.device_type == DeviceType.META)
            throw InterpException.Invalid("TENSOR_NOT_DENSE", "The tensor is sparse or has no data; only dense ones have bytes to store.");
        Visit(tensor, tensor.shape, tensor.element_size(), sink);
    }

    private static void Visit(Tensor tensor, ReadOnlySpan<long> shape, long elementSize, Sink sink)
    {
        var bytes = elementSize;
        foreach (var size in shape) bytes *= size;
        if (bytes == 0) return;
        if (IsInOrder(tensor)) Emit(tensor, bytes, sink);
        else if (bytes <= Staging || shape.IsEmpty) Emit(Ordered(tensor), bytes, sink);
        else
        {
            var rowBytes = bytes / shape[0];
            var rows = Math.Max(1, Staging / rowBytes);
            for (var i = 0L; i < shape[0]; i += rows)
            {
                using var scope = NewDisposeScope();
                var count = Math.Min(rows, shape[0] - i);
                if (rows == 1) Visit(tensor.select(0, i), shape[1..], elementSize, sink);
                else Emit(Ordered(tensor.narrow(0, i, count)), count * rowBytes, sink);
            }
        }
    }

    private static bool IsInOrder(Tensor tensor) =>
        tensor.device_type == DeviceType.CPU && tensor.is_contiguous() && !tensor.is_conj() && !tensor.is_neg();

    private static Tensor Ordered(Tensor tensor) => tensor.cpu().resolve_conj().resolve_neg().contiguous();

    private static unsafe void Emit(Tensor contiguous, long bytes, Sink sink)
    {
        var address = Blob.Address(contiguous);
        for (var at = 0L; at < bytes; at += 1 << 30)
            sink(new ReadOnlySpan<byte>((void*)(address + (nint)at), (int)Math.Min(1 << 30, bytes - at)));
        GC.KeepAlive(contiguous);
    }
}
