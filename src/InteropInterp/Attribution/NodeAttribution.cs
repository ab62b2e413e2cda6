using InteropInterp.Hooks;
using static TorchSharp.torch;

namespace InteropInterp.Attribution;

/// <summary>Attributions of nodes, by site. It owns its tensors.</summary>
public sealed class NodeAttribution : IDisposable
{
    /// <summary>
    /// The estimated change of the metric by patching the node from the clean run into the corrupted one: by site [layer, ...]
    /// with the site's axes; rows are summed over (the metric is their mean), and the width of heads and streams too: [layer, pos,
    /// head], [layer, pos], [layer, pos, neuron], [layer, head, query, key]. Null where it was not asked for.
    /// </summary>
    public IReadOnlyDictionary<HookSite, Tensor>? Denoising { get; init; }

    /// <summary>The same from the corrupted run into the clean one.</summary>
    public IReadOnlyDictionary<HookSite, Tensor>? Noising { get; init; }

    public void Dispose()
    {
        foreach (var tensor in (Denoising?.Values ?? []).Concat(Noising?.Values ?? [])) tensor.Dispose();
    }
}
