using InteropInterp.Native.Interop;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Tensors;

/// <summary>A tensor's memory as numbers, for comparisons bit by bit; only for contiguous tensors on the CPU.</summary>
internal static class Values
{
    public static unsafe T[] Of<T>(Tensor tensor) where T : unmanaged
    {
        Assert.True(tensor.is_contiguous());
        Assert.Equal(sizeof(T), (int)tensor.element_size());
        var count = (int)tensor.numel();
        return count == 0 ? [] : new ReadOnlySpan<T>((void*)Blob.Address(tensor), count).ToArray();
    }

    /// <summary>Equal bits: -0 is not 0, and a NaN equals itself.</summary>
    public static void AssertSame(float[] expected, float[] actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (var i = 0; i < expected.Length; i++)
        {
            var (a, b) = (expected[i], actual[i]);
            if (BitConverter.SingleToUInt32Bits(a) != BitConverter.SingleToUInt32Bits(b) && !(float.IsNaN(a) && float.IsNaN(b)))
                Assert.Fail($"[{i}]: expected {a:r}, found {b:r}");
        }
    }
}
