using InteropInterp.Hooks;
using static TorchSharp.torch;

namespace InteropInterp.Models.Forward;

/// <summary>What the forward pass asks at every hook point. A point nobody wants costs one array lookup.</summary>
public interface IActivationHooks
{
    /// <summary>Whether anything reads or edits this point: the pass then takes the way on which the value exists.</summary>
    bool Wants(HookSite site, int layer);

    /// <summary>
    /// The value that the pass goes on with.
    /// </summary>
    /// <param name="isShared">The memory belongs to weights or is read again: it must not be edited in place.</param>
    Tensor At(HookSite site, int layer, Tensor value, bool isShared = false);
}

/// <summary>Nobody listens.</summary>
public sealed class NoHooks : IActivationHooks
{
    public static NoHooks Instance { get; } = new();

    public bool Wants(HookSite site, int layer) => false;

    public Tensor At(HookSite site, int layer, Tensor value, bool isShared = false) => value;
}
