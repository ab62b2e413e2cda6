namespace InteropInterp.Tensors;

/// <summary>Sizes that come from a file, computed without overflow.</summary>
internal static class TensorSize
{
    /// <summary>What libtorch's kernels can iterate over.</summary>
    public const int MaxRank = 64;

    /// <summary>Elements of a shape, or null where they (or the strides of an empty tensor) exceed 63 bits.</summary>
    public static long? Count(IReadOnlyList<long> shape)
    {
        long count = 1, stride = 1;
        foreach (var size in shape)
        {
            if (size < 0) return null;
            // libtorch computes strides as if an empty dimension had one element, and refuses those that overflow.
            var next = (Int128)stride * Math.Max(size, 1);
            if (next > long.MaxValue) return null;
            stride = (long)next;
            count *= size;
        }
        return count;
    }

    /// <summary>Bytes of <paramref name="count"/> elements, or null where they overflow or end within a byte.</summary>
    public static long? Bytes(long count, int bits)
    {
        var total = (Int128)count * bits;
        return total % 8 == 0 && total / 8 <= long.MaxValue ? (long)(total / 8) : null;
    }
}
