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

    /// <param name="replacement">The layer's values to put in.</param>
    /// <param name="sharedPrefix">Positions at which source and base have the same tokens, so that they differ by rounding at most.</param>
    public CellSkips(TransformerModel model, HookSite site, int layer, SweepBase baseRun, Tensor replacement, int sharedPrefix)
    {
        (this.baseRun, this.site, config) = (baseRun, site, model.Config);
        isLast = layer == config.LayerCount - 1;
        using var scope = NewDisposeScope();
        var unequal = replacement.ne(baseRun[site, layer]);
        // To [positions, heads, sources or neurons]; axes that the site has not are 1.
        var table = site == HookSite.Pattern
            ? unequal.any(0).permute(1, 0, 2)
            : site == HookSite.MlpPost ? unequal.any(0).unsqueeze(1)
            : unequal.dim() == 4 ? unequal.any(0).any(-1).unsqueeze(-1) : unequal.any(0).any(-1).unsqueeze(-1).unsqueeze(-1);
        if (sharedPrefix > 0 && config.IsCausal) table.narrow(0, 0, sharedPrefix).zero_();
        var flat = table.contiguous().data<bool>().ToArray();
        var (positions, heads, sources) = ((int)table.size(0), (int)table.size(1), (int)table.size(2));
        differs = new bool[positions, heads, sources];
        Buffer.BlockCopy(flat, 0, differs, 0, flat.Length);
    }

    /// <summary>The first position of a cell that may differ; null where its number is the base run's.</summary>
    public int? StartOf(SweepCell cell)
    {
        int? first = null;
        var last = 0;
        for (var p = 0; p < differs.GetLength(0); p++)
        {
            if (cell.Position >= 0 && p != cell.Position) continue;
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
        for (var h = 0; h < differs.GetLength(1); h++)
        {
            if (cell.Head >= 0 && h != cell.Head) continue;
            for (var s = 0; s < differs.GetLength(2); s++)
                if ((cell.Last < 0 || s == cell.Last) && differs[position, h, s]) return true;
        }
        return false;
    }
}
