using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>Where in a layer a cell of a sweep joins the pass.</summary>
internal enum EntryPoint
{
    /// <summary>Before attention: the residual stream itself is replaced.</summary>
    Start,

    /// <summary>Between attention and MLP: what attention writes is changed.</summary>
    Middle,

    /// <summary>Behind the layer.</summary>
    End,
}

/// <summary>
/// The residual streams with which cells join. A replacement inside attention is a change of some heads' z, and a change of z is
/// a rank d_head update through W_O: nothing of the layer before it runs again.
/// </summary>
/// <param name="replacement">The values that are put in, all rows, in the site's own axes.</param>
internal sealed class CellEntry(TransformerModel model, HookSite site, int layer, SweepBase baseRun, Tensor replacement)
{
    private readonly TransformerConfig config = model.Config;
    private readonly HeadChange heads = new(model, site, layer, baseRun, replacement);

    /// <summary>Where cells of a site join.</summary>
    public static EntryPoint PointOf(TransformerConfig config, HookSite site) => site switch
    {
        HookSite.ResidPre => EntryPoint.Start,
        HookSite.ResidPost or HookSite.MlpOut => EntryPoint.End,
        HookSite.ResidMid => EntryPoint.Middle,
        // In parallel blocks the MLP does not read what attention writes.
        _ => config.AttentionOnly || config.ParallelBlocks ? EntryPoint.End : EntryPoint.Middle,
    };

    /// <summary>The residual stream at an entry point.</summary>
    public static HookSite StreamAt(EntryPoint point) => point switch
    {
        EntryPoint.Start => HookSite.ResidPre,
        EntryPoint.Middle => HookSite.ResidMid,
        _ => HookSite.ResidPost,
    };

    /// <summary>What must be kept of the base run at a layer for cells of a site to join there.</summary>
    public static IEnumerable<HookSite> Reads(TransformerConfig config, HookSite site) =>
        new[] { site, StreamAt(PointOf(config, site)) }.Concat(HeadChange.Reads(config, site)).Distinct();

    /// <summary>The residual streams of cells that start at the same position: [cells, rows, positions, d_model].</summary>
    public Tensor Join(IReadOnlyList<SweepCell> cells, PackedGroup group)
    {
        var stream = StreamAt(PointOf(config, site));
        // One copy of the base run's rest of each row per cell.
        var result = baseRun[stream, layer].narrow(1, group.Start, group.Length).unsqueeze(0).repeat([cells.Count, 1, 1, 1]);
        // A cell of one position changes the first only; but attention carries a key or value to every later one.
        var single = cells[0].Position >= 0;
        var count = single && site is not (HookSite.K or HookSite.V) ? 1 : group.Length;
        var changed = result.narrow(2, 0, count);
        if (site == stream) changed.copy_(replacement.narrow(1, group.Start, count));
        else if (site is HookSite.AttnOut or HookSite.MlpOut)
            changed.PlusInPlace(replacement.narrow(1, group.Start, count) - baseRun[site, layer].narrow(1, group.Start, count));
        else changed.PlusInPlace(heads.Of(cells, group, count));
        return result;
    }
}
