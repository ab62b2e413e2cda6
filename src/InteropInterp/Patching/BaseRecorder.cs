using InteropInterp.Hooks;
using InteropInterp.Models.Forward;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>Keeps chosen activations of the base run of a sweep: what cells start from, and what they attend to.</summary>
internal sealed class BaseRecorder(IEnumerable<HookPoint> points) : IActivationHooks, IDisposable
{
    private readonly HashSet<HookPoint> wanted = [.. points];
    private readonly Dictionary<HookPoint, Tensor> kept = [];

    public Tensor this[HookSite site, int layer] => kept[new HookPoint(site, layer)];

    public bool Wants(HookSite site, int layer) => wanted.Contains(new HookPoint(site, layer));

    public Tensor At(HookSite site, int layer, Tensor value, bool isShared = false)
    {
        var point = new HookPoint(site, layer);
        if (wanted.Contains(point)) kept[point] = value.alias().DetachFromDisposeScope();
        return value;
    }

    public void Dispose()
    {
        foreach (var tensor in kept.Values) tensor.Dispose();
    }
}
