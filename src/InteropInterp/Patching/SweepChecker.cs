using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Plans;
using InteropInterp.Plans.Checking;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>Refuses sweeps that cannot run or would measure something else than they say.</summary>
internal static class SweepChecker
{
    /// <summary>The base plan, checked; metric, source and rows fit each other.</summary>
    public static CheckedPlan Check(TransformerModel model, Sweep sweep)
    {
        var plan = sweep.Base;
        InterpException.Require((sweep.Metric is null ? 0 : 1) + (sweep.Function is null ? 0 : 1) + (sweep.AsksMetric ? 1 : 0) == 1,
            "SWEEP_METRIC", "A sweep has one metric: a declared one or a function.");
        InterpException.Require(sweep.MoreMetrics.Count == 0 || sweep.Metric is not null, "SWEEP_METRIC", "More metrics go with a declared one, not with a function.");
        InterpException.Require(plan is { Captures.Count: 0, Generation: null, Objective: null, StopAtLayer: null, Residual: null, Sources.Count: 0 },
            "SWEEP_BASE", "The base of a sweep has rows, flags and interventions, nothing else.");
        InterpException.Require(!plan.Interventions.Any(i => i.Gradient), "SWEEP_BASE", "A sweep has no gradients.");
        if (sweep.Source.Asks is { } source)
        {
            InterpException.Require(source is { Captures.Count: 0, Generation: null, Objective: null, StopAtLayer: null, Residual: null } && source.Flags == plan.Flags,
                "SWEEP_SOURCE", "The source of a sweep has rows and interventions, and the base's flags, nothing else.");
        }
        if (sweep.Source is SweepMean or SweepResample) CheckReference(sweep);
        if (sweep.Source is SweepFromRun run) CheckRows(plan, run.Run, "the source");
        // Metrics are checked as objectives are.
        foreach (var more in sweep.MoreMetrics) PlanChecker.Check(model, plan with { Objective = new Objective { Metric = more }, Outputs = Outputs.None });
        return CheckBase(model, sweep, plan);
    }

    /// <summary>The corrupted runs, checked: each may be the base of cells as the clean one is.</summary>
    public static IReadOnlyList<CheckedPlan> CheckCorruptions(TransformerModel model, Sweep sweep)
    {
        if (sweep.Source is not SweepCorruptions source) return [];
        InterpException.Require(source.Corruptions.Count > 0, "NO_CORRUPTIONS", "The sweep has 0 corruptions; at least one is expected.");
        InterpException.Require(source.Each.Count > 0, "NO_DIRECTION", $"The direction is {source.Directions}; denoising, noising or both are expected.");
        if (source.Corruptions.GroupBy(c => c.Name).FirstOrDefault(g => g.Count() > 1) is { } twice)
            throw InterpException.Invalid("CORRUPTION_NAME_TWICE", $"{twice.Count()} corruptions are called '{twice.Key}'; results need a name for each.");
        return [.. source.Corruptions.Select(corruption =>
        {
            var run = corruption.Apply(sweep.Base);
            InterpException.Require(run is { Captures.Count: 0, Generation: null, Objective: null, StopAtLayer: null, Residual: null, Sources.Count: 0 }
                && run.Flags == sweep.Base.Flags && !run.Interventions.Any(i => i.Gradient), "SWEEP_SOURCE",
                $"Corruption '{corruption.Name}' has more than rows, interventions, and the flags of the clean run.");
            CheckRows(sweep.Base, run, $"corruption '{corruption.Name}'");
            return CheckBase(model, sweep, run);
        })];
    }

    private static CheckedPlan CheckBase(TransformerModel model, Sweep sweep, Plan plan) => PlanChecker.Check(model, sweep.Metric is null
        ? plan with { Outputs = Outputs.AllLogits }
        : plan with { Objective = new Objective { Metric = sweep.Metric }, Outputs = Outputs.None });

    private static void CheckRows(Plan plan, Plan source, string whose)
    {
        InterpException.Require(source.Rows.Count == plan.Rows.Count, "SOURCE_ROWS",
            $"The rows of {whose} are {source.Rows.Count}, those of the sweep {plan.Rows.Count}; row by row, as many are expected.");
        for (var i = 0; i < plan.Rows.Count; i++)
            InterpException.Require(source.Rows[i].Length == plan.Rows[i].Length, "PROMPTS_OF_DIFFERENT_LENGTH",
                $"Row {i} has {plan.Rows[i].Length} tokens, {(whose == "the source" ? "the source's" : $"that of {whose}")} {source.Rows[i].Length}: position by position they do not correspond.");
    }

    private static void CheckReference(Sweep sweep)
    {
        var reference = sweep.Source.Asks!.Rows;
        InterpException.Require(reference.Count > 0, "SOURCE_ROWS", "The reference of a mean or resample ablation has no rows.");
        var isOverPositions = sweep.Source is SweepMean { OverPositions: true };
        InterpException.Require(!isOverPositions || sweep.Grid.Site is not (HookSite.Pattern or HookSite.AttnScores), "SOURCE_SHAPE",
            $"'{HookSiteInfo.Of(sweep.Grid.Site).Name}' has two axes of positions: its mean is over rows alone.");
        var lengths = reference.Concat(isOverPositions ? [] : sweep.Base.Rows).Select(r => r.Length).Distinct().Order().ToList();
        InterpException.Require(lengths.Count == 1, "PROMPTS_OF_DIFFERENT_LENGTH",
            $"Rows have {string.Join(", ", lengths)} tokens: those of the reference and of the sweep correspond position by position only where they are equally long.");
    }

    /// <summary>A cached activation as a replacement; refused where it is not there or of another shape.</summary>
    public static Tensor FromCache(SweepFromCache cache, TransformerModel model, CheckedPlan plan, HookPoint point)
    {
        var shape = plan.Catalogue.Shape(point, plan.RowCount, plan.Length, plan.Length);
        if (!cache.Activations.TryGetValue(point.Name, out var tensor))
            throw InterpException.Unknown("CACHE_LACKS_ACTIVATION", "activation of the clean cache:", point.Name, cache.Activations.Keys);
        InterpException.Require(tensor.shape.SequenceEqual(shape), "PROMPTS_OF_DIFFERENT_LENGTH",
            $"The cached '{point.Name}' is [{string.Join(", ", tensor.shape)}]; the sweep's is [{string.Join(", ", shape)}] ([{string.Join(", ", plan.Catalogue.Axes(point))}]).");
        return tensor.to(model.DataType, model.Device);
    }
}
