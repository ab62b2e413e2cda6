using InteropInterp.Circuits;
using InteropInterp.Models;
using InteropInterp.Plans;
using InteropInterp.Plans.Checking;
using InteropInterp.Plans.Metrics;

namespace InteropInterp.Attribution;

/// <summary>Two sets of rows that attributions compare position by position.</summary>
internal static class AttributionPairs
{
    /// <summary>Refuses rows that do not correspond, and plans that hold anything but rows, flags and interventions.</summary>
    public static void Check(TransformerModel model, Plan clean, Plan corrupt, Metric metric)
    {
        RowPairs.Check(model, clean with { Interventions = [] }, corrupt, metric);
        RowPairs.RequireEqualLengths(clean, "Attributions");
        InterpException.Require(clean.Flags == corrupt.Flags, "PAIR_SOURCE", "Clean and corrupted rows have the same flags.");
        foreach (var plan in new[] { clean, corrupt })
            InterpException.Require(plan.Sources.Count == 0 && !plan.HasCallbacks
                && !plan.Interventions.Any(i => i.Gradient), "PAIR_SOURCE",
                "Attributions are of declared interventions on activations, without sources and callbacks.");
    }

    /// <summary>A side with the metric as its objective.</summary>
    public static CheckedPlan Side(TransformerModel model, Plan plan, Metric metric) =>
        PlanChecker.Check(model, plan with { Objective = new Objective { Metric = metric } });
}
