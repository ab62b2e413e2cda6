using InteropInterp.Models;

namespace InteropInterp.Circuits.Weights;

/// <summary>
/// Heads' circuits from tokens to tokens (Elhage et al. 2021), as factors: vocabulary by vocabulary is never made. Look at them with
/// <see cref="TopEntries"/>. In the current scope.
/// </summary>
public static class FullCircuits
{
    /// <summary>W_E OV W_U of a head, or of heads in a row: the logits that attending to each token adds.</summary>
    /// <param name="heads">Earliest first, of rising layers.</param>
    /// <returns>[d_vocab, d_vocab_out].</returns>
    /// <exception cref="InterpException">VIRTUAL_HEAD, LAYER_OUT_OF_RANGE, HEAD_OUT_OF_RANGE.</exception>
    public static FactoredMatrix OV(TransformerModel model, params IReadOnlyList<HeadName> heads) =>
        VirtualHeads.OV(model, heads).After(model.Weights.Embed).Times(model.Weights.Unembed.t());

    /// <summary>W_E QK W_Eᵀ of a head: the score of each token that attends for each that is attended to, before it is divided.</summary>
    /// <returns>[d_vocab, d_vocab].</returns>
    /// <exception cref="InterpException">LAYER_OUT_OF_RANGE, HEAD_OUT_OF_RANGE.</exception>
    public static FactoredMatrix QK(TransformerModel model, HeadName head)
    {
        model.Config.CheckLayer(head.Layer);
        model.Config.CheckHead(head.Head);
        return AttentionCircuits.QK(model, head.Layer)[head.Head].After(model.Weights.Embed).Times(model.Weights.Embed.t());
    }
}
