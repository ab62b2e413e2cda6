using InteropInterp.Hooks;
using InteropInterp.Models;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>
/// Which cells need no run: what they would put in already stands there, or the metric cannot see it. And where the others
/// begin to differ from the base run.
/// </summary>
internal sealed class CellSkips
{
    private readonly SweepBase baseRun;
    private readonly TransformerConfig config;
    private readonly HookSite site;
    private readonly bool isLast;
    private readonly bool[,,] differs;
    private readonly FeatureChange? features;

    public CellSkips(SweepPart part, int layer)
    {
        (baseRun, site, config, features) = (part.Base, part.Site, part.Model.Config, part.FeaturesOf(layer));
        isLast = layer == config.LayerCount - 1;
        using var scope = NewDisposeScope();
        var unequal = features?.Unequal ?? part.Replacement(layer).ne(baseRun[site, layer]);
        // To [positions, heads, sources, neurons or features]; axes that the site has not are 1.
        var table = features is not null ? unequal.any(0).unsqueeze(1)
            : site == HookSite.Pattern
            ? unequal.any(0).permute(1, 0, 2)
            : site == HookSite.MlpPost ? unequal.any(0).unsqueeze(1)
            : unequal.dim() == 4 ? unequal.any(0).any(-1).unsqueeze(-1) : unequal.any(0).any(-1).unsqueeze(-1).unsqueeze(-1);
        // Where both see the same tokens, they differ by rounding at most.
        if (part.SharedPrefix > 0 && config.IsCausal) table.narrow(0, 0, part.SharedPrefix).zero_();
        var flat = table.cpu().contiguous().data<bool>().ToArray();
        var (positions, heads, sources) = ((int)table.size(0), (int)table.size(1), (int)table.size(2));
        differs = new bool[positions, heads, sources];
        Buffer.BlockCopy(flat, 0, differs, 0, flat.Length);
    }

    /// <summary>Whether what a cell puts in stands there already.</summary>
    public bool ChangesNothing(SweepCell cell)
    {
        var (from, to) = Range(cell.Position, 0);
        for (var p = from; p < to; p++)
            if (Differs(p, cell)) return false;
        return true;
    }

    /// <summary>The first position of a cell that may differ; null where its number is the base run's.</summary>
    public int? StartOf(SweepCell cell)
    {
        int? first = null;
        var last = 0;
        var (from, to) = Range(cell.Position, 0);
        for (var p = from; p < to; p++)
        {
            if (!Differs(p, cell)) continue;
            first ??= p;
            last = p;
        }
        if (first is not { } start) return null;
        if (!config.IsCausal) return 0;
        if (baseRun.ReadPositions is not { } read) return start;
        // Causal: later positions do not reach the one that is read; behind the last attention no other does.
        if (read.All(r => r < start)) return null;
        if (isLast && StaysInPlace && cell.Position >= 0 && read.All(r => r != last)) return null;
        return start;
    }

    // What is changed at a position reaches no other within the same layer.
    private bool StaysInPlace => site is HookSite.Z or HookSite.Q or HookSite.Pattern or HookSite.AttnOut or HookSite.ResidMid
        or HookSite.MlpPost or HookSite.MlpOut or HookSite.ResidPost;

    private bool Differs(int position, SweepCell cell)
    {
        var (head, heads) = Range(cell.Head, 1);
        var (last, lasts) = Range(cell.Last < 0 || features is null ? cell.Last : features.ColumnOf(cell.Last), 2);
        for (var h = head; h < heads; h++)
            for (var s = last; s < lasts; s++)
                if (differs[position, h, s]) return true;
        return false;
    }

    // One index of an axis, or all.
    private (int From, int To) Range(int index, int axis) => index < 0 ? (0, differs.GetLength(axis)) : (index, index + 1);
}
