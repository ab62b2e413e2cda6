using InteropInterp.Hooks;
using InteropInterp.Models;

namespace InteropInterp.Plans.Checking;

/// <summary>What a plan costs, from shapes alone; nothing is run.</summary>
/// <param name="Flops">Floating-point operations of its matrix products (a multiply-add is two), sources included.</param>
/// <param name="ResultBytes">What the result and its sources' captures hold.</param>
/// <param name="WorkingBytesPerRow">What a pass needs beside weights and results, per row.</param>
/// <param name="Captures">The shape of each capture; -1 where rows of different length decide.</param>
public sealed record PlanCost(
    double Flops, long ResultBytes, long WorkingBytesPerRow, IReadOnlyDictionary<string, IReadOnlyList<long>> Captures)
{
    internal static PlanCost Of(TransformerModel model, CheckedPlan plan)
    {
        var c = model.Config;
        long rows = plan.RowCount, length = plan.Length, element = model.ElementSize;
        var newTokens = plan.Plan.Generation?.MaxNewTokens ?? 0;
        long layers = plan.EndLayer - plan.FirstLayer, total = length + newTokens;
        var logitPositions = plan.Logits switch { LogitsNeed.All => length, LogitsNeed.OnePerRow => 1, _ => newTokens };

        long d = c.ModelWidth, qkv = (c.HeadCount + 2L * c.KeyHeads) * c.HeadWidth, heads = (long)c.HeadCount * c.HeadWidth, m = c.MlpWidth ?? 0;
        var perToken = 2.0 * (d * qkv + heads * d + (c.GatedMlp ? 3 : 2) * d * m);
        // Scores and weighted sum; half of them lie above the diagonal.
        var attention = 4.0 * heads * total * (c.IsCausal ? 0.5 : 1);
        var flops = rows * (layers * total * (perToken + attention) + 2.0 * d * c.OutputVocabularySize * logitPositions);
        var added = Added(plan);
        flops += rows * total * added.Sum(a => a.Flops);
        if (plan.NeedsGradient) flops *= 2;

        var captures = plan.Captures.Where(x => !x.AsRegion).ToDictionary(x => x.Name, x => Shape(plan, x));
        var captured = plan.Captures.Sum(x => Bytes(Shape(plan, x), total, element));
        var logits = plan.Plan.Outputs.Logits switch { LogitsWanted.All => length, LogitsWanted.Last => 1, _ => 0 } * (long)c.OutputVocabularySize * rows * element;

        var patterns = plan.Captures.Select(x => x.Point).Concat(plan.Interventions.SelectMany(i => i.Points))
            .Any(p => p.Site is HookSite.AttnScores or HookSite.Pattern) ? 4 * c.HeadCount * total * total : 0;
        var layer = total * (6 * d + 3 * qkv + 3 * m) + patterns;
        // A pass forgets what an op needed; a recorded one keeps it.
        var extra = total * (plan.NeedsGradient ? added.Sum(a => a.Values) : added.Select(a => a.Values).DefaultIfEmpty().Max());
        var working = element * (extra + layer * (plan.NeedsGradient ? Math.Max(1, layers) : 1) + logitPositions * c.OutputVocabularySize * 2)
            + (newTokens > 0 ? element * 2 * layers * c.KeyHeads * c.HeadWidth * total : 0);

        foreach (var source in plan.Sources.Values)
        {
            var cost = Of(model, source);
            (flops, captured) = (flops + cost.Flops, captured + cost.ResultBytes);
        }
        return new PlanCost(flops, captured + logits, working, captures);
    }

    private static IReadOnlyList<long> Shape(CheckedPlan plan, CheckedCapture capture)
    {
        var where = capture.Capture.Where;
        IReadOnlyList<long> shape = [.. plan.Catalogue.Axes(capture.Point).Select((axis, i) => axis switch
        {
            HookAxis.Batch => where.Rows.Within(plan.RowCount).Length,
            HookAxis.Position => Count(where.Positions, plan),
            HookAxis.KeyPosition => Count(where.Last, plan),
            HookAxis.Head or HookAxis.KeyHead => where.Heads.Within((int)plan.Catalogue.Size(axis)!.Value).Length,
            _ => where.Last.Within((int)plan.Catalogue.Size(axis)!.Value).Length,
        })];
        return capture.Capture.Transform?.Shape(shape) ?? shape;
    }

    // Of each op at each of its points, and of each transform.
    private static List<PositionCost> Added(CheckedPlan plan) =>
    [
        .. plan.Interventions.SelectMany(i => Enumerable.Repeat(i.Intervention.Op.Cost, i.Points.Count)),
        .. plan.Captures.Where(c => c.Capture.Transform is not null).Select(c => c.Capture.Transform!.Cost),
    ];

    private static long Count(Positions positions, CheckedPlan plan) =>
        plan.Plan.Generation is null ? positions.Within(plan.Length).Length : positions.IsAll ? plan.Length + plan.Plan.Generation.MaxNewTokens - 1 : -1;

    private static long Bytes(IReadOnlyList<long> shape, long positions, long element) => shape.Aggregate(element, (a, b) => a * (b < 0 ? positions : b));
}
