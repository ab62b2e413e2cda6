using InteropInterp.Hooks;
using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Models.Forward;

/// <summary>The end of a model, for any vectors of the residual stream, with nobody listening. Differentiable.</summary>
internal static class Unembedding
{
    /// <summary>The final norm with its weights, each vector by its own statistics.</summary>
    /// <param name="stream">[..., d_model].</param>
    public static Tensor FinalNorm(this TransformerModel model, Tensor stream) => !model.Config.HasNorm ? stream : model.Norm.Apply(
        stream, model.Weights.FinalNorm, NoHooks.Instance, HookSite.LnFinalScale, HookSite.LnFinalNormalized, -1);

    /// <summary>Norm, unembedding and soft cap.</summary>
    /// <param name="stream">[..., d_model].</param>
    /// <returns>[..., d_vocab_out].</returns>
    public static Tensor Unembed(this TransformerModel model, Tensor stream)
    {
        var logits = Linear.Apply(model.FinalNorm(stream), model.Weights.Unembed, model.Weights.UnembedBias);
        return model.Config.LogitsSoftCap > 0 ? ForwardPass.SoftCap(logits, model.Config.LogitsSoftCap) : logits;
    }
}
