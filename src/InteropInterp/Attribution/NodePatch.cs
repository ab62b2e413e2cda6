using InteropInterp.Hooks;
using InteropInterp.Plans;
using InteropInterp.Plans.Metrics;

namespace InteropInterp.Attribution;

/// <summary>
/// Attribution patching of nodes (Nanda 2023; Kramár et al. 2024, "AtP*"): the first-order estimate of what patching each node
/// would do to the metric, (value there - value here) · gradient here, for all nodes in one forward and backward pass per side.
/// </summary>
public sealed record NodePatch
{
    /// <summary>Rows of equal length; interventions hold in all of it.</summary>
    public required Plan Clean { get; init; }

    /// <summary>As many rows, as long.</summary>
    public required Plan Corrupt { get; init; }

    /// <summary>Its mean over rows is what changes; tokens are those of the corresponding row.</summary>
    public required Metric Metric { get; init; }

    /// <summary>Sites of the blocks: Z, Q, K, V, Pattern, ResidPre, ResidMid, ResidPost, AttnOut, MlpOut, MlpPost, ...</summary>
    public required IReadOnlyList<HookSite> Sites { get; init; }

    public PatchDirections Directions { get; init; } = PatchDirections.Denoising;

    /// <summary>
    /// AtP*: for queries and keys the softmax is recomputed exactly for each patched position, and only what comes behind the
    /// pattern is linear (Kramár et al. section 3.1.1): saturated attention has no gradient. Not with float16 (QK_FIX_FLOAT16).
    /// </summary>
    public bool FixQueriesAndKeys { get; init; }

    /// <summary>
    /// AtP*: GradDrop (Kramár et al. section 3.1.2): the gradient is taken once per layer with that layer's outputs held, and
    /// the absolute values are averaged, so that effects which cancel are seen. Results are then never negative.
    /// </summary>
    public bool DropGradients { get; init; }
}
