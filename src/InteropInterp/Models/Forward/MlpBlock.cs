using InteropInterp.Hooks;
using InteropInterp.Models.Weights;
using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Models.Forward;

/// <summary>Norm and MLP of a block: plain, gated, or with a norm after its activation.</summary>
internal sealed class MlpBlock(TransformerModel model, IActivationHooks hooks)
{
    /// <param name="residual">[batch, pos, d_model]: resid_mid, or resid_pre in parallel blocks.</param>
    /// <returns>[batch, pos, d_model], before hook_mlp_out.</returns>
    public Tensor Apply(Tensor residual, BlockWeights block, int layer)
    {
        var w = block.Mlp!;
        var input = hooks.At(HookSite.MlpIn, layer, residual, isShared: true);
        if (model.Config.HasNorm) input = model.Norm.Apply(input, block.Ln2, hooks, HookSite.Ln2Scale, HookSite.Ln2Normalized, layer);
        var hidden = model.Config.GatedMlp ? Gated(input, w, layer) : Plain(input, w, layer);
        return Linear.Apply(hooks.At(HookSite.MlpPost, layer, hidden), w.Out, w.OutBias);
    }

    private Tensor Plain(Tensor input, MlpWeights w, int layer)
    {
        var pre = hooks.At(HookSite.MlpPre, layer, Linear.Apply(input, w.In, w.InBias));
        var activated = model.Activation!(pre);
        if (!model.Config.ActivationHasNorm) return activated;
        activated = hooks.At(HookSite.MlpMid, layer, activated);
        return model.MlpNorm.Apply(activated, w.Norm, hooks, HookSite.MlpLnScale, HookSite.MlpLnNormalized, layer);
    }

    // act(x W_gate) · (x W_in) + b_in: TransformerLens adds b_in after the product.
    private Tensor Gated(Tensor input, MlpWeights w, int layer)
    {
        var width = model.Config.MlpWidth!.Value;
        var both = Linear.Apply(input, w.In, w.InBias);
        var gate = hooks.At(HookSite.MlpPre, layer, both.narrow(-1, 0, width));
        var linear = hooks.At(HookSite.MlpPreLinear, layer, both.narrow(-1, width, width));
        var product = model.Activation!(gate) * linear;
        return w.PostBias is null ? product : product.Plus(w.PostBias);
    }
}
