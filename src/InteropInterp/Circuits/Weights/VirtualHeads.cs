using InteropInterp.Models;
using InteropInterp.Native.Operators;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using static TorchSharp.torch;

namespace InteropInterp.Circuits.Weights;

/// <summary>A head of a layer.</summary>
public readonly record struct HeadName(int Layer, int Head)
{
    public override string ToString() => $"L{Layer}H{Head}";
}

/// <summary>
/// Heads in a row, each reading the values that the one before wrote (V-composition): they act as one head with the pattern
/// A_n ... A_1 and the circuit OV_1 ... OV_n, row vectors times matrices (Elhage et al. 2021). In the current scope.
/// </summary>
public static class VirtualHeads
{
    /// <param name="heads">Earliest first, of rising layers.</param>
    /// <returns>[d_model, d_model], of rank d_head.</returns>
    /// <exception cref="InterpException">VIRTUAL_HEAD, LAYER_OUT_OF_RANGE, HEAD_OUT_OF_RANGE.</exception>
    public static FactoredMatrix OV(TransformerModel model, params IReadOnlyList<HeadName> heads)
    {
        Check(model, heads);
        return heads.Select(h => AttentionCircuits.OV(model, h.Layer)[h.Head]).Aggregate((earlier, later) => earlier.Times(later));
    }

    /// <param name="patterns">Given a layer, hook_pattern [batch, head, query, key].</param>
    /// <returns>[batch, query, key].</returns>
    public static Tensor Pattern(TransformerModel model, Func<int, Tensor> patterns, params IReadOnlyList<HeadName> heads)
    {
        Check(model, heads);
        return heads.Select(h => patterns(h.Layer).select(1, h.Head)).Aggregate((earlier, later) => later.MatMul(earlier));
    }

    /// <summary>The pattern on the rows of a plan.</summary>
    /// <param name="plan">Rows of one length, and interventions if any.</param>
    /// <returns>[row, query, key]; the caller owns it.</returns>
    /// <exception cref="InterpException">VIRTUAL_HEAD, ROWS_RAGGED, and as above; what the plan is refused for; CANCELLED.</exception>
    public static Tensor Pattern(
        TransformerModel model, Plan plan, IReadOnlyList<HeadName> heads, ExecutionOptions? options = null,
        CancellationToken cancellation = default)
    {
        Check(model, heads);
        InterpException.Require(plan.Rows.Select(r => r.Length).Distinct().Count() < 2, "ROWS_RAGGED",
            "Patterns of several rows are given for rows of one length.");
        static string Point(int layer) => $"blocks.{layer}.attn.hook_pattern";
        using var run = PlanRunner.Run(model, plan with
        {
            Outputs = Outputs.None, Captures = [.. heads.Select(h => h.Layer).Distinct().Select(l => new Capture(Point(l)))],
        }, options, cancellation);
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        return Pattern(model, layer => run[Point(layer)], heads).clone().DetachFromDisposeScope();
    }

    private static void Check(TransformerModel model, IReadOnlyList<HeadName> heads)
    {
        InterpException.Require(heads.Count > 0, "VIRTUAL_HEAD", "A virtual head is made of at least one head.");
        var last = -1;
        foreach (var (layer, head) in heads.Select(h => (h.Layer, h.Head)))
        {
            model.Config.CheckLayer(layer);
            model.Config.CheckHead(head);
            InterpException.Require(layer > last, "VIRTUAL_HEAD",
                $"L{layer}H{head} does not come after layer {last}: name heads of rising layers.");
            last = layer;
        }
    }
}
