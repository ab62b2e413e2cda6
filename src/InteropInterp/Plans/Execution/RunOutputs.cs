using InteropInterp.Hooks;
using InteropInterp.Models.Forward;
using InteropInterp.Native.Operators;
using InteropInterp.Plans.Checking;
using InteropInterp.Plans.Metrics;
using static TorchSharp.torch;

namespace InteropInterp.Plans.Execution;

/// <summary>From the last residual stream to logits, losses and the objective, batch by batch.</summary>
internal sealed class RunOutputs(CheckedPlan plan) : IDisposable
{
    private readonly List<Tensor> logits = [];
    private readonly List<Tensor> lossPerToken = [];
    private readonly List<Tensor> residuals = [];
    private readonly List<Tensor> metrics = [];
    private readonly List<int> offsets = [];
    private double lossSum;
    private double lossCount;

    /// <param name="tape">Given the objective as a root; null where nothing is differentiated.</param>
    public void Add(RowBatch batch, Tensor residual, ForwardPass pass, GradientTape? tape)
    {
        offsets.AddRange(batch.Geometry.Offsets);
        if (plan.StopsEarly) residuals.Add(Keep(residual));
        if (plan.Logits == LogitsNeed.None) return;
        var wanted = plan.Plan.Outputs;
        var metric = plan.Plan.Objective?.Metric;
        var isOne = plan.Logits == LogitsNeed.OnePerRow;
        var position = metric?.ReadsPosition ?? -1;
        // Where one position is enough nobody looks at the logits themselves, and the metric may need few of them.
        var tokens = isOne && wanted.Logits == LogitsWanted.None ? metric?.ReadsTokens : null;
        var scores = pass.Unembed(isOne ? At(residual, batch.Position(position)) : residual, tokens);

        if (wanted.Logits == LogitsWanted.All) logits.Add(Keep(scores));
        else if (wanted.Logits == LogitsWanted.Last) logits.Add(Keep(isOne ? scores : At(scores, batch.Position(-1))));
        // What is kept is the model's own type; what is computed from logits is not computed in half precision.
        scores = scores.Wide();
        if (wanted.Loss || wanted.LossPerToken) AddLoss(scores.detach(), batch.MetricRows, wanted);
        if (metric is null) return;
        var values = metric.PerRow(metric.ReadsPosition is null ? scores : (isOne ? scores : At(scores, batch.Position(position))).squeeze(1),
            batch.MetricRows with { Columns = tokens });
        metrics.Add(Keep(values));
        // The objective is the mean over all rows of the plan, whatever batch they fall into.
        tape?.Root(values, Ops.Full(values.shape, 1.0 / plan.RowCount, values.dtype, values.device));
    }

    /// <summary>The run's result.</summary>
    public RunResult Finish(Dictionary<string, Tensor> captures, IReadOnlyList<FiredReport> fired, IReadOnlyList<IReadOnlyList<int>>? tokens) => new()
    {
        Logits = Join(logits),
        Loss = plan.Plan.Outputs.Loss ? lossSum / lossCount : null,
        LossPerToken = Join(lossPerToken),
        Residual = Join(residuals),
        Metric = Join(metrics),
        Captures = InFiringOrder(captures),
        Tokens = tokens,
        Fired = fired,
        Offsets = offsets,
    };

    private void AddLoss(Tensor scores, MetricRows rows, Outputs wanted)
    {
        var losses = Loss.PerToken(scores, rows.Tokens!);
        if (wanted.LossPerToken) lossPerToken.Add(Keep(losses));
        if (!wanted.Loss) return;
        if (Loss.PairMask(rows.Mask) is { } mask)
        {
            var weights = mask.to(losses.dtype);
            lossSum += (losses * weights).sum().to(ScalarType.Float64).item<double>();
            lossCount += weights.sum().to(ScalarType.Float64).item<double>();
            return;
        }
        lossSum += losses.sum().to(ScalarType.Float64).item<double>();
        lossCount += losses.numel();
    }

    // One position of each row: [rows, pos, n] -> [rows, 1, n].
    internal static Tensor At(Tensor x, long[] positions)
    {
        if (positions.All(p => p == positions[0])) return x.narrow(1, positions[0], 1);
        var index = tensor(positions, device: x.device).view(-1, 1, 1).expand(-1, 1, x.size(2));
        return x.gather(1, index);
    }

    private Dictionary<string, Tensor> InFiringOrder(Dictionary<string, Tensor> captures) =>
        plan.Captures.Where(c => captures.ContainsKey(c.Name)).OrderBy(c => (c.Point.Site > HookSite.ResidPost ? int.MaxValue : c.Point.Layer, c.Point.Site))
            .ToDictionary(c => c.Name, c => captures[c.Name]);

    private static Tensor Keep(Tensor t) => t.detach().contiguous().DetachFromDisposeScope();

    private static Tensor? Join(List<Tensor> pieces)
    {
        if (pieces.Count == 0) return null;
        if (pieces.Count == 1) return pieces[0];
        using var scope = NewDisposeScope();
        var joined = cat([.. pieces], 0).DetachFromDisposeScope();
        foreach (var piece in pieces) piece.Dispose();
        return joined;
    }

    public void Dispose()
    {
        foreach (var tensor in logits.Concat(lossPerToken).Concat(residuals).Concat(metrics)) tensor.Dispose();
    }
}
