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
internal sealed class CellEntry(SweepPart part, int layer)
{
    private readonly TransformerModel model = part.Model;
    private readonly TransformerConfig config = part.Model.Config;
    private readonly HookSite site = part.Site;
    private readonly SweepBase baseRun = part.Base;
    private readonly Tensor replacement = part.Replacement(layer);
    private readonly HeadChange heads = new(part.Model, part.Site, layer, part.Base, part.Replacement(layer));

    /// <summary>Where cells of a site join.</summary>
    public static EntryPoint PointOf(TransformerConfig config, HookSite site) => site switch
    {
        HookSite.ResidPre => EntryPoint.Start,
        HookSite.ResidPost or HookSite.MlpPost or HookSite.MlpOut => EntryPoint.End,
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
    public static IEnumerable<HookSite> Reads(TransformerConfig config, HookSite site)
    {
        var point = PointOf(config, site);
        HookSite[] streams = point == EntryPoint.Start ? [HookSite.ResidPre, config.IsRotary ? HookSite.RotQ : HookSite.Q] : [StreamAt(point), HookSite.ResidPost];
        return new[] { site }.Concat(streams).Concat(HeadChange.Reads(config, site)).Distinct();
    }

    /// <summary>
    /// Whether a cell changes the residual stream at its first position only. (A key or value is carried to every later one.)
    /// </summary>
    public static bool ChangesOne(HookSite site, SweepCell cell) => cell.Position >= 0 && site is not (HookSite.K or HookSite.V);

    /// <summary>The residual streams of cells that start at the same position, where they change it: [cells, rows, positions, d_model].</summary>
    public Tensor Changed(PackedGroup group)
    {
        var stream = StreamAt(PointOf(config, site));
        var count = ChangesOne(site, group.Cells[0]) ? 1 : group.Length;
        Tensor Of(Tensor x) => x.narrow(1, group.Start, count);
        Tensor Each(Tensor x) => x.unsqueeze(0).expand(group.Cells.Count, -1, -1, -1);
        if (part.FeaturesOf(layer) is { } features) return Each(Of(baseRun[stream, layer])).Plus(Written(features.Of(group.Cells, group.Start, count)));
        if (site == stream) return Each(Of(replacement));
        if (site == HookSite.MlpPost) return Each(Of(baseRun[stream, layer])).Plus(Written(group, Of(replacement) - Of(baseRun[site, layer])));
        if (site is HookSite.AttnOut or HookSite.MlpOut) return Each(Of(baseRun[stream, layer]).Plus(Of(replacement) - Of(baseRun[site, layer])));
        return Each(Of(baseRun[stream, layer])).Plus(heads.Of(group.Cells, group, count));
    }

    /// <summary>What a change of the site's activation writes into the stream: [cells, rows, positions, d_model].</summary>
    private Tensor Written(Tensor change) => site switch
    {
        HookSite.MlpPost => Linear.Apply(change, model.Weights.Blocks[layer].Mlp!.Out, null),
        HookSite.Z => Linear.Apply(change.flatten(-2), model.Weights.Blocks[layer].Attention.Output, null),
        _ => change,
    };

    /// <summary>What a change of neurons writes: a multiple of its row of W_out for each.</summary>
    /// <param name="change">[rows, positions, neurons].</param>
    /// <returns>[cells or 1, rows, positions, d_model].</returns>
    private Tensor Written(PackedGroup group, Tensor change)
    {
        var output = model.Weights.Blocks[layer].Mlp!.Out;
        if (group.Cells[0].Last < 0) return Linear.Apply(change, output, null).unsqueeze(0);
        var neurons = tensor(group.Cells.Select(c => (long)c.Last).ToArray(), device: change.device);
        // [rows, positions, cells] -> [cells, rows, positions, 1], times [cells, 1, 1, d_model].
        var each = change.index_select(2, neurons).permute(2, 0, 1).unsqueeze(-1);
        return each * output.index_select(1, neurons).t().view(group.Cells.Count, 1, 1, config.ModelWidth);
    }
}
