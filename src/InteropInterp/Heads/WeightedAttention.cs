using InteropInterp.Models;
using InteropInterp.Native.Operators;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using static TorchSharp.torch;

namespace InteropInterp.Heads;

/// <summary>What attention is weighted by.</summary>
public enum AttentionWeighting
{
    /// <summary>||v W_O||: the length of what reaches the residual stream.</summary>
    Output,

    /// <summary>||v||.</summary>
    Value,
}

/// <summary>
/// Attention times the length of what is moved along it (Kobayashi et al. 2020, "Attention is Not Only a Weight"): much attention to
/// a token of small value moves little.
/// </summary>
public static class WeightedAttention
{
    /// <param name="plan">Rows of one length, and interventions if any.</param>
    /// <param name="layers">Which.</param>
    /// <returns>[layer, row, head, query, key]; the caller owns it.</returns>
    /// <exception cref="InterpException">ATTENTION_PLAN, ROWS_RAGGED, LAYER_OUT_OF_RANGE; what the plan is refused for;
    /// CANCELLED.</exception>
    public static Tensor Of(
        TransformerModel model, Plan plan, IReadOnlyList<int> layers, AttentionWeighting weighting = AttentionWeighting.Output,
        ExecutionOptions? options = null, CancellationToken cancellation = default)
    {
        InterpException.Require(layers.Count > 0, "INVALID_OPTION", "No layer is named; at least one is needed.");
        foreach (var layer in layers) model.Config.CheckLayer(layer);
        InterpException.Require(plan is { Generation: null, StopAtLayer: null, Objective: null }, "ATTENTION_PLAN",
            "Attention is read in one pass to the end: the plan must neither generate, nor stop early, nor differentiate.");
        InterpException.Require(plan.Rows.Select(r => r.Length).Distinct().Count() < 2, "ROWS_RAGGED",
            "Attention of several rows is given for rows of one length.");
        var points = layers.Distinct().SelectMany(l => new[] { Pattern(l), Value(l) });
        using var run = PlanRunner.Run(
            model, plan with { Outputs = Outputs.None, Captures = [.. points.Select(p => new Capture(p))] }, options, cancellation);
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        return stack([.. layers.Select(l => run[Pattern(l)] * Lengths(model, run[Value(l)], l, weighting))]).DetachFromDisposeScope();
    }

    // v [row, key, key head, d_head] -> [row, head, 1, key].
    private static Tensor Lengths(TransformerModel model, Tensor v, int layer, AttentionWeighting weighting)
    {
        // [row, key head, key, d_head]; of grouped values once per query head.
        var values = v.transpose(1, 2);
        values = values.repeat_interleave(model.Config.HeadCount / values.size(1), 1);
        if (weighting == AttentionWeighting.Output) values = values.MatMul(model.StateDict[$"blocks.{layer}.attn.W_O"]);
        return values.square().sum(-1).sqrt().unsqueeze(2);
    }

    private static string Pattern(int layer) => $"blocks.{layer}.attn.hook_pattern";

    private static string Value(int layer) => $"blocks.{layer}.attn.hook_v";
}
