using InteropInterp.Models;
using InteropInterp.Neurons;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Evaluation;

/// <summary>Which tokens a feature of the residual stream speaks for.</summary>
public static class LogitWeights
{
    /// <summary>
    /// (W_dec[feature] · w) W_U, w the weights of the final norm where the model still has them: the logits of the feature's direction,
    /// without the norm's division.
    /// </summary>
    /// <returns>[d_vocab_out], in the current scope.</returns>
    /// <exception cref="InterpException">DICTIONARY_INPUT: the dictionary is not of the residual stream; FEATURE_OUT_OF_RANGE.</exception>
    public static Tensor Of(TransformerModel model, SparseDictionary dictionary, int feature)
    {
        var (reads, width) = (dictionary.Config.InputWidth, model.Config.ModelWidth);
        InterpException.Require(reads == width && !dictionary.Config.JoinsHeads, "DICTIONARY_INPUT",
            $"Logit weights are of directions in the residual stream, {width} wide; the dictionary reads {reads}.");
        using var scope = NewDisposeScope();
        return DirectLogits.Of(model, dictionary.Direction(feature)).MoveToOuterDisposeScope();
    }
}
