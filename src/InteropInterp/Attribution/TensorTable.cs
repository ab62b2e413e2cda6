using InteropInterp.Hooks;
using static TorchSharp.torch;

namespace InteropInterp.Attribution;

/// <summary>Activations or gradients by point, owned here.</summary>
internal sealed class TensorTable : IDisposable
{
    private readonly Dictionary<HookPoint, Tensor> tensors = [];

    public Tensor this[HookPoint point] => tensors[point];

    /// <summary>Keeps a tensor, which is also returned: a hook that only looks.</summary>
    public Tensor Keep(HookPoint point, Tensor value)
    {
        Drop(point);
        tensors[point] = value.detach().DetachFromDisposeScope();
        return value;
    }

    public void Drop(HookPoint point)
    {
        if (tensors.Remove(point, out var tensor)) tensor.Dispose();
    }

    public void Dispose()
    {
        foreach (var tensor in tensors.Values) tensor.Dispose();
        tensors.Clear();
    }
}
