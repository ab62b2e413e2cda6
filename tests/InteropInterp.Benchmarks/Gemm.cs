using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Benchmarks;

/// <summary>A device's matrix product rate now: the yardstick beside every figure.</summary>
internal static class Gemm
{
    /// <returns>GFLOP/s of 2048 x 2048 matrices, the best of seven.</returns>
    public static double Rate(Device device, ScalarType dtype, int n = 2048)
    {
        using var scope = NewDisposeScope();
        var (a, b) = (randn([n, n], dtype, device), randn([n, n], dtype, device));
        var times = new Clock(device).Measure(() => a.MatMul(b).Dispose(), 7);
        return 2.0 * n * n * n / times[1].Item2 / 1e9;
    }
}
