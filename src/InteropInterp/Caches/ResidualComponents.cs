using static TorchSharp.torch;

namespace InteropInterp.Caches;

/// <summary>Vectors of the residual stream, one per component. It owns its tensor.</summary>
/// <param name="Values">
/// [component, batch, pos, d_model]; without d_model where it was projected onto one direction, with [..., outputs] in its
/// place where onto several; without batch where the cache has none.
/// </param>
/// <param name="Labels">A name per component: embed, 0_attn_out, L1H3, L0N17, remainder, bias, ...</param>
public sealed record ResidualComponents(Tensor Values, IReadOnlyList<string> Labels) : IDisposable
{
    public void Dispose() => Values.Dispose();

    /// <summary>Stacks parts of equal shape; leaves the current scope.</summary>
    internal static ResidualComponents Of(IReadOnlyList<(string Label, Tensor Value)> parts) =>
        new(stack([.. parts.Select(p => p.Value)]).DetachFromDisposeScope(), [.. parts.Select(p => p.Label)]);

    /// <summary>Joins stacks; leaves the current scope.</summary>
    internal static ResidualComponents Join(IReadOnlyList<(IReadOnlyList<string> Labels, Tensor Values)> stacks) =>
        new(cat([.. stacks.Select(s => s.Values)], 0).DetachFromDisposeScope(), [.. stacks.SelectMany(s => s.Labels)]);
}
