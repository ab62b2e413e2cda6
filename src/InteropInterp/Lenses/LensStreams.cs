using InteropInterp.Models;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using static TorchSharp.torch;

namespace InteropInterp.Lenses;

/// <summary>The streams that a lens reads, from one run that unembeds nothing.</summary>
internal static class LensStreams
{
    public static IReadOnlyList<(string Label, string Point)> Of(TransformerConfig config, bool includeMiddle)
    {
        var streams = new List<(string, string)>();
        for (var l = 0; l < config.LayerCount; l++)
        {
            streams.Add(($"{l}_pre", $"blocks.{l}.hook_resid_pre"));
            if (includeMiddle && config is { HasMlp: true, ParallelBlocks: false }) streams.Add(($"{l}_mid", $"blocks.{l}.hook_resid_mid"));
        }
        streams.Add(("final_post", $"blocks.{config.LayerCount - 1}.hook_resid_post"));
        return streams;
    }

    /// <returns>[streams, rows, positions, d_model] in the current scope.</returns>
    public static Tensor Capture(
        TransformerModel model, Plan plan, IEnumerable<string> points, Positions positions, ExecutionOptions? options,
        CancellationToken cancellation)
    {
        InterpException.Require(model.Config.LayerCount > 0, "NO_LAYERS", "The model has no blocks: there is no stream but the one it unembeds.");
        InterpException.Require(plan is { Generation: null, StopAtLayer: null, Objective: null }, "LENS_PLAN",
            "A lens reads one pass to the end: the plan must neither generate, nor stop early, nor differentiate.");
        CheckEven(plan, positions);
        var where = new Selector { Positions = positions };
        var captures = points.Select(p => new Capture(p) { Where = where });
        using var run = PlanRunner.Run(model, plan with { Outputs = Outputs.None, Captures = [.. captures] }, options, cancellation);
        return stack([.. run.Captures.Values]);
    }

    private static void CheckEven(Plan plan, Positions positions)
    {
        var counts = plan.Rows.Select(row => positions.Resolve(row.Length, "position").Length).Distinct().ToList();
        InterpException.Require(counts.Count < 2, "POSITIONS_RAGGED",
            $"The positions {positions} are not equally many in every row; name as many of each, or run rows of one length at a time.");
    }
}
