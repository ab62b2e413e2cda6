using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Models.Forward;
using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Circuits;

/// <summary>A norm that divides by a given scale instead of its input's own, so that it is linear in its input.</summary>
internal sealed class FrozenScale(HookSite site, Tensor scale) : IActivationHooks
{
    public bool Wants(HookSite wanted, int layer) => wanted == site;

    public Tensor At(HookSite at, int layer, Tensor value, bool isShared = false) => at == site ? scale : value;

    /// <summary>The scale that the model's norms have for a residual stream [..., d_model]: [..., 1].</summary>
    public static Tensor Of(TransformerModel model, Tensor stream)
    {
        var centered = model.Config.IsRms ? stream : stream - stream.mean([-1], keepdim: true);
        return centered.square().mean([-1], keepdim: true).Plus(model.Config.Epsilon).sqrt();
    }
}
