using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Neurons;

/// <summary>Logistic regression of few columns with an L2 penalty, by Newton's method: ½|w|² + C · sum of log losses, the bias free.</summary>
internal static class LogisticRegression
{
    private const int Steps = 100;

    /// <param name="x">[tokens, columns] float64.</param>
    public static (double[] Weights, double Bias) Fit(Tensor x, bool[] labels, double c)
    {
        using var scope = NewDisposeScope();
        var columns = x.size(1);
        var design = cat([x, ones([x.size(0), 1], ScalarType.Float64)], 1);
        var truth = tensor(labels.Select(l => l ? 1.0 : 0.0).ToArray());
        // The penalty's second derivative; a hair on the bias keeps the matrix regular where classes are told apart.
        var penalty = cat([ones(columns, ScalarType.Float64), Ops.Full([1], 1e-10, ScalarType.Float64)], 0);
        var w = zeros(columns + 1, ScalarType.Float64);
        var loss = Loss(design, truth, w, penalty, c);
        for (var step = 0; step < Steps; step++)
        {
            var p = design.mv(w).sigmoid();
            var gradient = design.t().mv(p - truth).Times(c).Plus(penalty * w);
            var curvature = design.t().MatMul(design * (p * p.neg().Plus(1)).unsqueeze(1)).Times(c).Plus(penalty.diag());
            var direction = linalg.solve(curvature, gradient.unsqueeze(1)).squeeze(1);
            // Far from the optimum a whole step may lead uphill.
            var (length, better) = (1.0, w);
            double next;
            do
            {
                better = w.PlusScaled(direction, -length);
                next = Loss(design, truth, better, penalty, c);
                length /= 2;
            }
            while (next > loss && length > 1e-10);
            var moved = (better - w).abs().max().item<double>();
            (w, loss) = (better, Math.Min(loss, next));
            if (moved < 1e-12) break;
        }
        var found = w.data<double>().ToArray();
        return (found[..^1], found[^1]);
    }

    // log(1 + exp(z)) - y z.
    private static double Loss(Tensor design, Tensor truth, Tensor w, Tensor penalty, double c)
    {
        using var scope = NewDisposeScope();
        var z = design.mv(w);
        var positive = z.clamp_min(Scalars.Zero);
        var losses = positive.Plus(z.abs().neg().exp().Plus(1).log()) - truth * z;
        return c * losses.sum().item<double>() + 0.5 * (penalty * w * w).sum().item<double>();
    }
}
