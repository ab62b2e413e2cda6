using Google.Protobuf;
using InteropInterp.Native.Interop;
using InteropInterp.Protocol.Errors;
using InteropInterp.Protocol.V1;
using TorchSharp;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace InteropInterp.Protocol.Mapping;

/// <summary>Values of tensors in messages: row-major, little-endian.</summary>
public static unsafe class TensorMapping
{
    private const int MaxRank = 64;

    /// <summary>The tensor that a message holds, in the current scope. Copies.</summary>
    /// <exception cref="InterpException">TENSOR_SHAPE, TENSOR_BYTES, TENSOR_VALUES.</exception>
    public static Tensor ToEngine(TensorData message, string field)
    {
        var dtype = DataTypes.ToEngine(message.DataType, $"{field}.data_type");
        var bytes = CheckedBytes(message.Shape, dtype, field);
        if (bytes != message.Data.Length)
            throw Fields.Invalid(field, "TENSOR_BYTES",
                $"{field} has {message.Data.Length:N0} bytes; [{string.Join(", ", message.Shape)}] of {message.DataType} are {bytes:N0}.");
        var tensor = empty([.. message.Shape], dtype, CPU);
        message.Data.Span.CopyTo(new Span<byte>((void*)Blob.Address(tensor), (int)bytes));
        CheckValues(tensor, field);
        return tensor;
    }

    /// <summary>The values of a tensor, of any device and strides.</summary>
    public static TensorData ToProto(Tensor tensor)
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var dense = tensor.cpu().contiguous();
        var data = new byte[checked((int)(dense.numel() * dense.element_size()))];
        new ReadOnlySpan<byte>((void*)Blob.Address(dense), data.Length).CopyTo(data);
        GC.KeepAlive(dense);
        return new TensorData { DataType = DataTypes.ToProto(tensor.dtype), Shape = { tensor.shape }, Data = UnsafeByteOperations.UnsafeWrap(data) };
    }

    /// <summary>The bytes of a shape that came over the wire.</summary>
    /// <exception cref="InterpException">TENSOR_SHAPE: a negative size, too many axes, or more than can be addressed.</exception>
    public static long CheckedBytes(IReadOnlyList<long> shape, ScalarType dtype, string field)
    {
        var bytes = (Int128)dtype.ElementSize();
        var stride = bytes;
        foreach (var size in shape)
        {
            bytes *= size;
            // libtorch computes strides as if an empty axis had one element, and ends in overflow where they are too large.
            stride *= Math.Max(1, size);
            if (size < 0 || stride > long.MaxValue) bytes = -1;
            if (bytes < 0) break;
        }
        return bytes >= 0 && shape.Count <= MaxRank
            ? (long)bytes
            : throw Fields.Invalid(field, "TENSOR_SHAPE", $"{field} has the shape [{string.Join(", ", shape.Take(MaxRank))}]: sizes must be 0 or above, at most {MaxRank}, and their product below 2^63 bytes.");
    }

    /// <summary>Refuses bytes that are no values of their type: a boolean is 0 or 1, and kernels rely on it.</summary>
    public static void CheckValues(Tensor tensor, string field)
    {
        if (tensor.dtype != ScalarType.Bool) return;
        var count = tensor.numel();
        for (var at = 0L; at < count; at += 1 << 30)
            if (new ReadOnlySpan<byte>((byte*)Blob.Address(tensor) + at, (int)Math.Min(1 << 30, count - at)).IndexOfAnyExceptInRange((byte)0, (byte)1) >= 0)
                throw Fields.Invalid(field, "TENSOR_VALUES", $"{field} is of type BOOL, whose bytes are 0 or 1; it has others.");
        GC.KeepAlive(tensor);
    }
}
