using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Benchmarks;

/// <summary>This machine's float32 matrix product rate now: the yardstick beside every figure.</summary>
internal static class Gemm
{
    /// <returns>GFLOP/s of 2048 x 2048 matrices, the best of seven.</returns>
    public static double Rate(int n = 2048)
    {
        using var scope = NewDisposeScope();
        var (a, b) = (randn(n, n), randn(n, n));
        var times = Clock.Measure(() => a.MatMul(b).Dispose(), 7);
        return 2.0 * n * n * n / times[1].Item2 / 1e9;
    }
}
