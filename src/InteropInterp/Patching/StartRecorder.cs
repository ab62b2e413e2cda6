using InteropInterp.Hooks;
using InteropInterp.Models.Forward;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>Keeps the residual stream as it enters layers, before any edit there: where cells of a sweep resume.</summary>
internal sealed class StartRecorder(IActivationHooks inner, IReadOnlyList<int> layers, Dictionary<int, Tensor> starts) : IActivationHooks
{
    public bool Wants(HookSite site, int layer) => inner.Wants(site, layer);

    public Tensor At(HookSite site, int layer, Tensor value, bool isShared = false)
    {
        if (site == HookSite.ResidPre && layers.Contains(layer))
        {
            starts[layer] = value.alias().DetachFromDisposeScope();
            // A callback may write into it.
            isShared = true;
        }
        return inner.At(site, layer, value, isShared);
    }
}
