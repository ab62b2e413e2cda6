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
        InterpException.Require(plan is { Captures.Count: 0, Generation: null, Objective: null, StopAtLayer: null, Residual: null, Sources.Count: 0 },
            "SWEEP_BASE", "The base of a sweep has rows, flags and interventions, nothing else.");
        InterpException.Require(!plan.Interventions.Any(i => i.Gradient), "SWEEP_BASE", "A sweep has no gradients.");
        if (sweep.Source is SweepFromRun { Run: var source })
        {
            InterpException.Require(source.Rows.Count == plan.Rows.Count, "SOURCE_ROWS",
                $"The source has {source.Rows.Count} rows, the sweep {plan.Rows.Count}; row by row, as many are expected.");
            for (var i = 0; i < plan.Rows.Count; i++)
                InterpException.Require(source.Rows[i].Length == plan.Rows[i].Length, "PROMPTS_OF_DIFFERENT_LENGTH",
                    $"Row {i} has {plan.Rows[i].Length} tokens, the source's {source.Rows[i].Length}: position by position they do not correspond.");
            InterpException.Require(source is { Captures.Count: 0, Generation: null, Objective: null, StopAtLayer: null, Residual: null } && source.Flags == plan.Flags,
                "SWEEP_SOURCE", "The source of a sweep has rows and interventions, and the base's flags, nothing else.");
        }
        // The metric is checked as an objective is.
        var withMetric = plan with { Objective = sweep.Metric is null ? null : new Objective { Metric = sweep.Metric }, Outputs = new Outputs { Logits = sweep.Metric is null ? LogitsWanted.All : LogitsWanted.None } };
        return PlanChecker.Check(model, withMetric);
    }

    /// <summary>A cached activation as a replacement; refused where it is not there or of another shape. The caller owns it.</summary>
    public static Tensor FromCache(SweepFromCache cache, HookPoint point, long[] shape, SweepContext context)
    {
        if (!cache.Activations.TryGetValue(point.Name, out var tensor))
            throw InterpException.Unknown("CACHE_LACKS_ACTIVATION", "activation of the clean cache:", point.Name, cache.Activations.Keys);
        InterpException.Require(tensor.shape.SequenceEqual(shape), "PROMPTS_OF_DIFFERENT_LENGTH",
            $"The cached '{point.Name}' is [{string.Join(", ", tensor.shape)}]; the sweep's is [{string.Join(", ", shape)}] ([{string.Join(", ", context.Plan.Catalogue.Axes(point))}]).");
        return tensor.to(context.Model.DataType, context.Model.Device).alias().DetachFromDisposeScope();
    }
}
