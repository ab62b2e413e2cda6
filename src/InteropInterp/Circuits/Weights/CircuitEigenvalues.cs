using InteropInterp.Models;
using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Circuits.Weights;

/// <summary>
/// Eigenvalues of circuits from tokens to tokens, without anything of vocabulary size per head: those of W_E M W_U are those of
/// the d_head x d_head matrix B (W_U W_E) A, where M = AB and W_U W_E, d_model x d_model, is the same for all heads. In the current scope.
/// </summary>
public static class CircuitEigenvalues
{
    /// <summary>Of W_E W_V W_O W_U, tokens in, logits out: complex [layer, head, d_head].</summary>
    public static Tensor FullOV(TransformerModel model) =>
        Between(AttentionCircuits.OV(model), model.Weights.Unembed.t().MatMul(TiedRows(model)));

    /// <summary>Of W_E W_Q W_Kᵀ W_Eᵀ, the attending token in, the attended out: complex [layer, head, d_head].</summary>
    public static Tensor FullQK(TransformerModel model) =>
        Between(AttentionCircuits.QK(model), model.Weights.Embed.t().MatMul(model.Weights.Embed));

    /// <summary>
    /// Σ Re λ / Σ |λ|, from -1 to 1. Of an OV circuit: the copying score; of a QK circuit: how much it looks for the same token
    /// (Elhage et al. 2021). Positive eigenvalues are evidence of copying, no proof.
    /// </summary>
    /// <param name="eigenvalues">Complex [..., n].</param>
    /// <returns>[...]; 0 where all eigenvalues are.</returns>
    public static Tensor Positivity(Tensor eigenvalues)
    {
        var magnitudes = eigenvalues.abs().sum([-1]);
        return (eigenvalues.real.sum([-1]) / magnitudes).nan_to_num(0.0);
    }

    /// <summary>The copying score of each head's full OV circuit: [layer, head]; the caller owns it.</summary>
    public static Tensor CopyingScores(TransformerModel model)
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        return Positivity(FullOV(model)).DetachFromDisposeScope();
    }

    private static Tensor Between(FactoredMatrix heads, Tensor around) => new FactoredMatrix(around.MatMul(heads.A), heads.B).Eigenvalues();

    private static Tensor TiedRows(TransformerModel model)
    {
        var config = model.Config;
        InterpException.Require(config.VocabularySize == config.OutputVocabularySize, "NOT_SQUARE",
            $"The model reads {config.VocabularySize} tokens and predicts {config.OutputVocabularySize}: from one to the other there are no eigenvalues.");
        return model.Weights.Embed;
    }
}
