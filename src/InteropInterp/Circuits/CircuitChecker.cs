using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Patching;
using InteropInterp.Plans.Checking;
using InteropInterp.Tensors;

namespace InteropInterp.Circuits;

/// <summary>Refuses tasks whose ablation does not fit the prompts, and circuits of other models.</summary>
internal static class CircuitChecker
{
    /// <summary>The prompts' plan with the metric as its objective.</summary>
    public static CheckedPlan Check(TransformerModel model, CircuitTask task)
    {
        InterpException.Require(
            task.Ablation is SweepFromRun or SweepMean or SweepResample or SweepZero or SweepFromCache or SweepFromMeans or SweepFromSamples,
            "CIRCUIT_ABLATION",
            "Edges are ablated by corrupted prompts, by means or samples of reference prompts or of a stream, by zeros, or by given activations.");
        if (task.Ablation is SweepFromRun { Run: var corrupt }) return RowPairs.Check(model, task.Prompts, corrupt, task.Metric);
        var plan = RowPairs.Check(model, task.Prompts, task.Prompts, task.Metric);
        if (task.Ablation is SweepFromCache given) CheckGiven(model, given, plan);
        if (task.Ablation.Asks is not { } reference) return plan;
        PlanChecker.Check(model, reference);
        InterpException.Require(reference is { Captures.Count: 0, Generation: null, Objective: null, StopAtLayer: null, Residual: null },
            "PAIR_SOURCE", "The reference has rows and interventions, nothing else.");
        RowPairs.RequireEqualLengths(reference, "References");
        InterpException.Require(task.Ablation is SweepMean { OverPositions: true }
            || reference.Rows[0].Length == plan.Length, "PROMPTS_OF_DIFFERENT_LENGTH",
            $"The reference's rows have {reference.Rows[0].Length} tokens, the prompts {plan.Length}: average over positions too, or give as many.");
        return plan;
    }

    // Given activations are of the prompts' shape, for every sender's point.
    private static void CheckGiven(TransformerModel model, SweepFromCache given, CheckedPlan plan)
    {
        var config = model.Config;
        foreach (var point in new ResidualGraph(config).Senders.Select(s => s.Point).Distinct())
        {
            InterpException.Require(given.Activations.TryGetValue(point.Name, out var tensor), "CIRCUIT_ABLATION",
                $"Of the activations that stand in for ablated edges '{point.Name}' is missing.");
            long[] expected = point.Site == HookSite.Z
                ? [plan.RowCount, plan.Length, config.HeadCount, config.HeadWidth] : [plan.RowCount, plan.Length, config.ModelWidth];
            InterpException.Require(expected.SequenceEqual(tensor!.shape), "CIRCUIT_ABLATION",
                $"What stands in at '{point.Name}' is {tensor.Shown()}; {expected.Shown()} is expected.");
        }
    }

    public static void CheckFits(Circuit circuit, ResidualGraph graph) => InterpException.Require(
        circuit.Graph.Senders.SequenceEqual(graph.Senders)
            && circuit.Graph.Receivers.SequenceEqual(graph.Receivers), "CIRCUIT_OF_OTHER_MODEL",
        $"The circuit is one of a model with {circuit.Graph.Senders.Count} senders and {circuit.Graph.Receivers.Count} receivers; " +
        $"this one has {graph.Senders.Count} and {graph.Receivers.Count}.");
}
