using InteropInterp.Hooks;

namespace InteropInterp.Patching;

/// <summary>What a cell of a sweep stands for, besides its layer.</summary>
public enum SweepAxis
{
    Layer,
    Position,
    Head,

    /// <summary>The position attended to, in scores and patterns; <see cref="Position"/> is then the one that attends.</summary>
    SourcePosition,

    /// <summary>A neuron of the layer's MLP.</summary>
    Neuron,

    /// <summary>A feature of the layer's dictionary: <see cref="SweepGrid.Bases"/>.</summary>
    Feature,

    /// <summary>Of results: a <see cref="Plans.PatchDirections"/>.</summary>
    Direction,

    /// <summary>Of results: one of <see cref="SweepCorruptions.Corruptions"/>.</summary>
    Corruption,
}

/// <summary>
/// Which cells a sweep has: a site, and the axes along which single parts of it are replaced, in the order of the result.
/// An axis that is not swept is replaced as a whole.
/// </summary>
/// <param name="Site">A site of the blocks.</param>
/// <param name="Axes">Starts with <see cref="SweepAxis.Layer"/>.</param>
public sealed record SweepGrid(HookSite Site, params IReadOnlyList<SweepAxis> Axes)
{
    /// <summary>Dictionaries whose features are swept, one per layer at <see cref="Site"/>, all as wide; borrowed until the sweep has ended.</summary>
    public IReadOnlyList<FeatureBasis> Bases { get; init; } = [];

    // TransformerLens's patching.get_act_patch_*, under its names.
    private static readonly Dictionary<string, SweepGrid> Named = new()
    {
        ["resid_pre"] = new(HookSite.ResidPre, SweepAxis.Layer, SweepAxis.Position),
        ["resid_mid"] = new(HookSite.ResidMid, SweepAxis.Layer, SweepAxis.Position),
        ["resid_post"] = new(HookSite.ResidPost, SweepAxis.Layer, SweepAxis.Position),
        ["attn_out"] = new(HookSite.AttnOut, SweepAxis.Layer, SweepAxis.Position),
        ["mlp_out"] = new(HookSite.MlpOut, SweepAxis.Layer, SweepAxis.Position),
        ["attn_head_out_all_pos"] = new(HookSite.Z, SweepAxis.Layer, SweepAxis.Head),
        ["attn_head_q_all_pos"] = new(HookSite.Q, SweepAxis.Layer, SweepAxis.Head),
        ["attn_head_k_all_pos"] = new(HookSite.K, SweepAxis.Layer, SweepAxis.Head),
        ["attn_head_v_all_pos"] = new(HookSite.V, SweepAxis.Layer, SweepAxis.Head),
        ["attn_head_pattern_all_pos"] = new(HookSite.Pattern, SweepAxis.Layer, SweepAxis.Head),
        ["attn_head_out_by_pos"] = new(HookSite.Z, SweepAxis.Layer, SweepAxis.Position, SweepAxis.Head),
        ["attn_head_q_by_pos"] = new(HookSite.Q, SweepAxis.Layer, SweepAxis.Position, SweepAxis.Head),
        ["attn_head_k_by_pos"] = new(HookSite.K, SweepAxis.Layer, SweepAxis.Position, SweepAxis.Head),
        ["attn_head_v_by_pos"] = new(HookSite.V, SweepAxis.Layer, SweepAxis.Position, SweepAxis.Head),
        ["attn_head_pattern_by_pos"] = new(HookSite.Pattern, SweepAxis.Layer, SweepAxis.Head, SweepAxis.Position),
        ["attn_head_pattern_dest_src_pos"] = new(HookSite.Pattern, SweepAxis.Layer, SweepAxis.Head, SweepAxis.Position, SweepAxis.SourcePosition),
    };

    /// <summary>The names of TransformerLens's grids, without "get_act_patch_".</summary>
    public static IEnumerable<string> Names => Named.Keys;

    /// <exception cref="InterpException">UNKNOWN_GRID with the nearest names.</exception>
    public static SweepGrid Of(string name) => Named.TryGetValue(name, out var grid)
        ? grid
        : throw InterpException.Unknown("UNKNOWN_GRID", "sweep", name, Named.Keys);
}
