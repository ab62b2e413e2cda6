using System.Runtime.Intrinsics.X86;
using InteropInterp.Native.Interop;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Native.Operators;

/// <summary>x W^T + b, by the fastest kernel that this processor has for it.</summary>
public static unsafe class Linear
{
    // libtorch multiplies float32 matrices with MKL, which takes a generic code path on processors that are not Intel's. There
    // oneDNN, which is in libtorch too, is 1.1 to 1.8 times as fast (the more so the wider the product: unembedding).
    private static readonly bool PrefersOneDnn = X86Base.IsSupported && Avx2.IsSupported && !IsIntel();

    /// <param name="x">[..., in].</param>
    /// <param name="weight">[out, in], of the same type.</param>
    /// <param name="bias">[out], or null.</param>
    /// <returns>[..., out], in the current scope.</returns>
    public static Tensor Apply(Tensor x, Tensor weight, Tensor? bias)
    {
        // oneDNN's has no derivative.
        if (!PrefersOneDnn || NativeApi.LinearPointwise is null || x.dtype != ScalarType.Float32 || x.device_type != DeviceType.CPU || is_grad_enabled())
            return nn.functional.linear(x, weight, bias);
        var (b, result) = (bias?.Handle ?? IntPtr.Zero, IntPtr.Zero);
        fixed (byte* none = "none\0"u8)
        {
            NativeApi.Check(NativeApi.LinearPointwise(x.Handle, weight.Handle, bias is null ? null : &b, none, null, 0, null, &result), "mkldnn::_linear_pointwise");
        }
        GC.KeepAlive(x);
        GC.KeepAlive(weight);
        GC.KeepAlive(bias);
        return Tensor.UnsafeCreateTensor(result);
    }

    // The vendor stands in EBX, EDX, ECX of leaf 0.
    private static bool IsIntel()
    {
        var (_, b, c, d) = X86Base.CpuId(0, 0);
        return (b, d, c) == (0x756e6547, 0x49656e69, 0x6c65746e); // Genu ineI ntel
    }
}
