using InteropInterp.Hooks;
using static TorchSharp.torch;

namespace InteropInterp.Plans.Checking;

/// <summary>Checks what is differentiated, and finds out where logits are needed.</summary>
internal static class ObjectiveChecker
{
    public static LogitsNeed Check(
        PlanScope scope, IReadOnlyList<CheckedCapture> captures, IReadOnlyList<CheckedIntervention> interventions,
        out IReadOnlyList<(HookPoint, Tensor)> cotangents)
    {
        var plan = scope.Plan;
        var wantsGradient = captures.Any(c => c.Capture.Gradient) || interventions.Any(i => i.Intervention.Gradient);
        InterpException.Require(!wantsGradient || plan.Objective is not null, "GRADIENT_NEEDS_OBJECTIVE",
            "The plan asks for gradients but has no objective: say of what (a metric such as logit_diff or loss, or cotangents).");
        InterpException.Require(plan.Objective is null || plan.Generation is null, "OBJECTIVE_IN_GENERATION", "Generation has no objective.");
        var metric = plan.Objective?.Metric;
        if (metric is not null)
        {
            InterpException.Require(!wantsGradient || metric.IsDifferentiable, "METRIC_HAS_NO_GRADIENT",
                $"{metric.GetType().Name} steps from one value to the next and has no gradient: differentiate a logit difference, a log-probability or a loss.");
            InterpException.Require(!scope.Stops, "METRIC_NEEDS_LOGITS", $"The metric reads logits, but the run stops at layer {scope.End}.");
            metric.Check(plan.Rows, scope.Config.OutputVocabularySize);
            if (metric.ReadsPosition is { } position)
                for (var row = 0; row < scope.RowCount; row++) Positions.At(position).Resolve(scope.RowLength(row), "position");
        }
        InterpException.Require(!scope.Stops || plan.Outputs is { Logits: LogitsWanted.None, Loss: false, LossPerToken: false }, "STOPS_BEFORE_LOGITS",
            $"The run stops at layer {scope.End}: it gives the residual stream there, not logits or a loss.");
        var list = new List<(HookPoint, Tensor)>();
        foreach (var (name, value) in plan.Objective?.Cotangents ?? new Dictionary<string, Tensor>())
        {
            var point = scope.Points(name, $"The cotangent of '{name}'", mayBeSilent: false)[0];
            var expected = scope.Catalogue.Shape(point, scope.RowCount, Longest(scope), Longest(scope));
            InterpException.Require(value.shape.SequenceEqual(expected), "COTANGENT_SHAPE",
                $"The cotangent of '{point.Name}' is [{string.Join(", ", value.shape)}]; [{string.Join(", ", expected)}] is expected.");
            list.Add((point, value));
        }
        cotangents = list;
        return Need(scope, captures, interventions, metric);
    }

    private static int Longest(PlanScope scope) => Enumerable.Range(0, scope.RowCount).Max(scope.RowLength);

    private static LogitsNeed Need(
        PlanScope scope, IReadOnlyList<CheckedCapture> captures, IReadOnlyList<CheckedIntervention> interventions, Metrics.Metric? metric)
    {
        if (scope.Stops) return LogitsNeed.None;
        var outputs = scope.Plan.Outputs;
        // Points after the blocks show every position, so somebody who looks at them needs all.
        var looks = captures.Select(c => c.Point).Concat(interventions.SelectMany(i => i.Points)).Any(p => p.Site > HookSite.ResidPost)
            || scope.Plan.Objective?.Cotangents.Keys.Any(n => scope.Catalogue.Resolve(n).Site > HookSite.ResidPost) == true;
        if (looks || outputs.Logits == LogitsWanted.All || outputs.Loss || outputs.LossPerToken || metric is { ReadsPosition: null }) return LogitsNeed.All;
        if (metric is null) return outputs.Logits == LogitsWanted.Last ? LogitsNeed.OnePerRow : LogitsNeed.None;
        return outputs.Logits == LogitsWanted.None || metric.ReadsPosition == -1 ? LogitsNeed.OnePerRow : LogitsNeed.All;
    }
}
