using InteropInterp.Native.Devices;
using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Neurons;

/// <summary>
/// In which order columns enter a logistic regression as its L1 penalty falls: mean log loss + penalty · |w|₁, followed along a path of
/// penalties by accelerated proximal gradients (Beck and Teboulle 2009), each from where the last one ended.
/// </summary>
internal static class LassoOrder
{
    private const double Factor = 0.8;
    private const int Penalties = 60, Steps = 200;

    /// <param name="x">[tokens, columns] float64, standardised.</param>
    /// <returns>Columns, first in first; those that enter together by weight. At most <paramref name="count"/>, fewer where fewer help.</returns>
    public static List<int> Of(Tensor x, bool[] labels, int count, CancellationToken cancellation)
    {
        using var scope = NewDisposeScope();
        double tokens = x.size(0), share = labels.Count(l => l) / tokens;
        var truth = tensor(labels.Select(l => l ? 1.0 : 0.0).ToArray());
        // Where the bias alone is best: from the largest gradient on, nothing enters.
        var penalty = x.t().mv(truth.Plus(-share)).abs().max().item<double>() / tokens;
        var step = 4 / Curvature(x);
        var w = zeros(x.size(1), ScalarType.Float64);
        var bias = Math.Log(share / (1 - share));
        var order = new List<int>();
        for (var i = 0; i < Penalties && order.Count < count && penalty > 0; i++)
        {
            penalty *= Factor;
            using var inner = NewDisposeScope();
            (w, bias) = Descend(x, truth, w, bias, penalty, step, cancellation);
            var weights = w.abs().data<double>().ToArray();
            order.AddRange(Enumerable.Range(0, weights.Length).Where(c => weights[c] > 0).Except(order).OrderByDescending(c => weights[c]).ToList());
            w = w.MoveToOuterDisposeScope();
        }
        return [.. order.Take(count)];
    }

    private static (Tensor, double) Descend(
        Tensor x, Tensor truth, Tensor start, double startBias, double penalty, double step, CancellationToken cancellation)
    {
        double tokens = x.size(0);
        var (w, bias, ahead, aheadBias, momentum) = (start, startBias, start, startBias, 1.0);
        for (var i = 0; i < Steps; i++)
        {
            Interrupts.Check(cancellation);
            using var scope = NewDisposeScope();
            var errors = x.mv(ahead).Plus(aheadBias).sigmoid() - truth;
            var moved = ahead.PlusScaled(x.t().mv(errors), -step / tokens);
            var movedBias = aheadBias - step * errors.sum().item<double>() / tokens;
            var shrunk = moved.sign() * moved.abs().Plus(-step * penalty).clamp_min(Scalars.Zero);
            var next = (1 + Math.Sqrt(1 + 4 * momentum * momentum)) / 2;
            var change = shrunk - w;
            ahead = shrunk.PlusScaled(change, (momentum - 1) / next).MoveToOuterDisposeScope();
            aheadBias = movedBias + (momentum - 1) / next * (movedBias - bias);
            var largest = Math.Max(change.abs().max().item<double>(), Math.Abs(movedBias - bias));
            (w, bias, momentum) = (shrunk.MoveToOuterDisposeScope(), movedBias, next);
            if (largest < 1e-7) break;
        }
        return (w, bias);
    }

    // The largest eigenvalue of [x, 1]ᵀ[x, 1] / tokens, from above, by power iteration; the loss bends by a quarter of it at most.
    private static double Curvature(Tensor x)
    {
        using var scope = NewDisposeScope();
        var v = ones(x.size(1), ScalarType.Float64);
        var value = 1.0;
        for (var i = 0; i < 30; i++)
        {
            v = x.t().mv(x.mv(v / v.norm()));
            value = v.norm().item<double>();
        }
        // Columns are centred, so the bias is a direction of its own, of eigenvalue 1. Power iteration comes from below.
        return Math.Max(1, 1.1 * value / x.size(0));
    }
}
