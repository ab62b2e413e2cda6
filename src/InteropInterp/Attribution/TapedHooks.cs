using InteropInterp.Hooks;
using InteropInterp.Models.Forward;
using InteropInterp.Plans.Execution;
using static TorchSharp.torch;

namespace InteropInterp.Attribution;

/// <summary>
/// The hooks of a pass whose gradients are looked at where they arise: at chosen points the gradient meets the activation, and
/// neither is kept longer.
/// </summary>
/// <param name="inner">What the plan itself hooks; its edits come first.</param>
/// <param name="points">Where to look.</param>
/// <param name="tape">Null: nothing is differentiated.</param>
internal sealed class TapedHooks(IActivationHooks inner, IReadOnlySet<HookPoint> points, GradientTape? tape) : IActivationHooks, IDisposable
{
    private readonly Dictionary<HookPoint, Tensor> activations = [];

    /// <summary>Given an activation on the way forward, what the pass goes on with.</summary>
    public Func<HookPoint, Tensor, Tensor>? Forward { get; init; }

    /// <summary>Given activation and gradient on the way back, the gradient to go on with.</summary>
    public Func<HookPoint, Tensor, Tensor, Tensor>? Backward { get; init; }

    public bool Wants(HookSite site, int layer) => points.Contains(new HookPoint(site, layer)) || inner.Wants(site, layer);

    public Tensor At(HookSite site, int layer, Tensor value, bool isShared = false)
    {
        value = inner.At(site, layer, value, isShared);
        var point = new HookPoint(site, layer);
        var isLookedAt = points.Contains(point);
        if (isLookedAt && Forward is not null) value = Forward(point, value);
        if (tape is null) return value;
        if (!isLookedAt) return tape.IsRecording && site == HookSite.ResidPre ? tape.Start(point, value) : value;
        activations[point] = value.detach().DetachFromDisposeScope();
        return tape.Start(point, value, gradient => Backward is null ? gradient : Backward(point, activations[point], gradient));
    }

    /// <summary>The activation at a point, before its walk back has ended.</summary>
    public Tensor this[HookPoint point] => activations[point];

    public void Dispose()
    {
        foreach (var tensor in activations.Values) tensor.Dispose();
        activations.Clear();
    }
}
