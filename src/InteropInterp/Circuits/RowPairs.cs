using InteropInterp.Models;
using InteropInterp.Plans;
using InteropInterp.Plans.Checking;
using InteropInterp.Plans.Metrics;

namespace InteropInterp.Circuits;

/// <summary>A base and a source whose rows correspond, position by position.</summary>
internal static class RowPairs
{
    /// <summary>The base plan, checked, with the metric as its objective.</summary>
    /// <exception cref="InterpException">PAIR_BASE, PAIR_SOURCE, SOURCE_ROWS, PROMPTS_OF_DIFFERENT_LENGTH, and what a plan's check
    /// refuses.</exception>
    public static CheckedPlan Check(TransformerModel model, Plan plan, Plan source, Metric metric)
    {
        InterpException.Require(
            plan is { Captures.Count: 0, Generation: null, Objective: null, StopAtLayer: null, Residual: null, Sources.Count: 0,
                Interventions.Count: 0 },
            "PAIR_BASE", "The base run has rows, nothing else.");
        InterpException.Require(source is { Captures.Count: 0, Generation: null, Objective: null, StopAtLayer: null, Residual: null },
            "PAIR_SOURCE", "The source has rows and interventions, nothing else.");
        InterpException.Require(source.Rows.Count == plan.Rows.Count, "SOURCE_ROWS",
            $"The source has {source.Rows.Count} rows, the base {plan.Rows.Count}; row by row, as many are expected.");
        for (var i = 0; i < plan.Rows.Count; i++)
            InterpException.Require(source.Rows[i].Length == plan.Rows[i].Length, "PROMPTS_OF_DIFFERENT_LENGTH",
                $"Row {i} has {plan.Rows[i].Length} tokens, the source's {source.Rows[i].Length}: position by position they do not correspond.");
        PlanChecker.Check(model, source);
        return PlanChecker.Check(model, plan with { Objective = new Objective { Metric = metric } });
    }

    /// <exception cref="InterpException">ROWS_OF_DIFFERENT_LENGTH.</exception>
    public static void RequireEqualLengths(Plan plan, string what) => InterpException.Require(
        plan.Rows.All(r => r.Length == plan.Rows[0].Length), "ROWS_OF_DIFFERENT_LENGTH",
        $"{what} need rows of equal length; these have {string.Join(", ", plan.Rows.Select(r => r.Length).Distinct().Order())} tokens.");

    /// <summary>Positions at the start of all rows at which a causal model gives both runs the same activations.</summary>
    public static int SharedPrefix(TransformerConfig config, Plan plan, Plan source)
    {
        var comparable = config.IsCausal && plan.PaddingSide == source.PaddingSide && source.Interventions.Count == 0
            && plan.Rows.Zip(source.Rows).All(r => r.First.Length == plan.Rows[0].Length && r.First.Mask is null && r.Second.Mask is null);
        return comparable
            ? plan.Rows.Zip(source.Rows).Min(r => r.First.Tokens.Zip(r.Second.Tokens).TakeWhile(t => t.First == t.Second).Count())
            : 0;
    }
}
