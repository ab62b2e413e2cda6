using InteropInterp.Native.Interop;
using InteropInterp.Protocol.Errors;
using InteropInterp.Protocol.V1;
using TorchSharp;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace InteropInterp.Protocol.Tensors;

/// <summary>
/// The elements of a tensor as bytes, row-major, in another type if asked: block by block, so that a slice, a conversion or
/// another device's tensor is never copied as a whole. Scopes are open within a step only.
/// </summary>
public static class TensorBlocks
{
    // What of a tensor that must be converted or put in order is at hand at a time.
    private const long Staging = 4 << 20;

    /// <summary>The part of a tensor that ranges mean, as a view in the current scope.</summary>
    /// <param name="ranges">Per axis from the first; axes without one are whole.</param>
    /// <exception cref="InterpException">RANGE_OUT_OF_BOUNDS names the axis.</exception>
    public static Tensor Cut(Tensor tensor, IReadOnlyList<AxisRange> ranges)
    {
        InterpException.Require(ranges.Count <= tensor.dim(), "RANGE_OUT_OF_BOUNDS", $"{ranges.Count} ranges for a tensor of {tensor.dim()} axes.");
        var view = tensor.alias();
        for (var axis = 0; axis < ranges.Count; axis++)
        {
            var (range, size) = (ranges[axis], tensor.size(axis));
            var step = range.Step == 0 ? 1 : range.Step;
            if (range.Start < 0 || range.Stop > size || range.Start > range.Stop || step < 1)
                throw Fields.Invalid($"ranges[{axis}]", "RANGE_OUT_OF_BOUNDS", $"Axis {axis} has {size} entries; {range.Start}:{range.Stop}:{range.Step} does not lie within 0:{size} with a step above 0.");
            view = view.slice(axis, range.Start, range.Stop, step);
        }
        return view;
    }

    /// <summary>
    /// Contiguous tensors of one type on the CPU whose bytes in turn are the tensor's, each the caller's to dispose; with each,
    /// how many of its first bytes lie before <paramref name="offset"/>. Whole blocks before it are passed over.
    /// </summary>
    public static IEnumerable<(Tensor Block, long Skip)> Of(Tensor tensor, ScalarType dtype, long offset)
    {
        var total = tensor.numel() * dtype.ElementSize();
        if (total <= offset) yield break;
        if (tensor.device_type == DeviceType.CPU && tensor.dtype == dtype && tensor.is_contiguous())
        {
            yield return (Share(tensor), offset);
            yield break;
        }
        if (total <= Staging || tensor.dim() == 0)
        {
            yield return (Dense(tensor, dtype), offset);
            yield break;
        }
        var count = tensor.size(0);
        var rowBytes = total / count;
        var rows = Math.Max(1, Staging / rowBytes);
        for (var row = offset / rowBytes / rows * rows; row < count; row += rows)
        {
            using var part = Rows(tensor, row, Math.Min(rows, count - row));
            var skip = Math.Max(0, offset - row * rowBytes);
            // A single row may itself be large.
            foreach (var inner in Of(part, dtype, skip)) yield return inner;
        }
    }

    /// <summary>The bytes of a block, while it lives.</summary>
    public static unsafe Memory<byte> Bytes(Tensor block, long start, int length) => new NativeMemory(Blob.Address(block) + (nint)start, length).Memory;

    private static Tensor Share(Tensor tensor)
    {
        using var scope = NewDisposeScope();
        return tensor.alias().DetachFromDisposeScope();
    }

    private static Tensor Rows(Tensor tensor, long first, long count)
    {
        using var scope = NewDisposeScope();
        return (count == 1 ? tensor.select(0, first) : tensor.narrow(0, first, count)).DetachFromDisposeScope();
    }

    private static Tensor Dense(Tensor tensor, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        return tensor.to(dtype).cpu().contiguous().alias().DetachFromDisposeScope();
    }
}
