using InteropInterp.Models;
using InteropInterp.Models.Weights;
using static TorchSharp.torch;

namespace InteropInterp.Circuits.Weights;

/// <summary>
/// The two circuits of every head (Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"), row vectors times
/// matrices: which positions it attends to, x_q QK x_kᵀ, and what it moves, x OV. Rotary and relative positions are not in QK, nor
/// is the division of scores; norms count as folded. In the current scope.
/// </summary>
public static class AttentionCircuits
{
    /// <summary>W_V W_O of each head: [layer, head, d_model, d_model].</summary>
    public static FactoredMatrix OV(TransformerModel model) => new(All(model, "V"), All(model, "O"));

    /// <summary>W_Q W_Kᵀ of each head: [layer, head, d_model, d_model].</summary>
    public static FactoredMatrix QK(TransformerModel model) => new(All(model, "Q"), All(model, "K").transpose(-2, -1));

    /// <summary>W_V W_O of the heads of a layer: [head, d_model, d_model].</summary>
    public static FactoredMatrix OV(TransformerModel model, int layer) => new(Heads(model, "V", layer), Heads(model, "O", layer));

    /// <summary>W_Q W_Kᵀ of the heads of a layer: [head, d_model, d_model].</summary>
    public static FactoredMatrix QK(TransformerModel model, int layer) =>
        new(Heads(model, "Q", layer), Heads(model, "K", layer).transpose(-2, -1));

    private static Tensor All(TransformerModel model, string which)
    {
        InterpException.Require(model.Config.LayerCount > 0, "NO_LAYERS", "The model has no blocks, and so no heads.");
        return stack([.. Enumerable.Range(0, model.Config.LayerCount).Select(l => Heads(model, which, l))]);
    }

    // [head, d_model, d_head], or of O [head, d_head, d_model]; grouped keys and values once per query head.
    private static Tensor Heads(TransformerModel model, string which, int layer)
    {
        var block = $"blocks.{layer}.";
        var weight = model.StateDict[which == "O" ? $"{block}attn.W_O" : WeightNames.Projection(block, which, model.Config).Weight];
        return weight.size(0) == model.Config.HeadCount ? weight : weight.repeat_interleave(model.Config.HeadCount / weight.size(0), 0);
    }
}
