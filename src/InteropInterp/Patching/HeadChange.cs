using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Models.Forward;
using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>
/// How replacing a head's output, query, key, value or pattern changes what its layer's attention writes. Only the heads that
/// are touched are computed, from the base run's activations.
/// </summary>
internal sealed class HeadChange(TransformerModel model, HookSite site, int layer, SweepBase baseRun, Tensor replacement)
{
    private readonly TransformerConfig config = model.Config;
    private readonly int group = model.Config.HeadCount / model.Config.KeyHeads;

    private HookSite Queries => config.IsRotary ? HookSite.RotQ : HookSite.Q;
    private HookSite Keys => config.IsRotary ? HookSite.RotK : HookSite.K;

    /// <summary>What must be kept of the base run at the layer.</summary>
    public static IEnumerable<HookSite> Reads(TransformerConfig config, HookSite site)
    {
        if (site == HookSite.Pattern) return [HookSite.V];
        if (site is not (HookSite.Q or HookSite.K or HookSite.V)) return [];
        return config.IsRotary
            ? [HookSite.Z, HookSite.V, HookSite.RotQ, HookSite.RotK]
            : [HookSite.Z, HookSite.V, HookSite.Q, HookSite.K];
    }

    /// <summary>The change of attn_out at the first <paramref name="count"/> positions of a group: [cells, rows, count, d_model].</summary>
    public Tensor Of(IReadOnlyList<SweepCell> cells, PackedGroup group, int count)
    {
        var queryHeads = cells.Select(QueryHeads).ToArray();
        long many = queryHeads[0].Length, width = config.HeadWidth;
        // [cells, rows, heads, count, d_head].
        var z = site switch
        {
            HookSite.Z => Heads(replacement, queryHeads, group.Start, count) - Heads(baseRun[HookSite.Z, layer], queryHeads, group.Start, count),
            HookSite.Pattern => OfPattern(cells, queryHeads, group, count),
            _ => Attention(cells, queryHeads, group, count) - Heads(baseRun[HookSite.Z, layer], queryHeads, group.Start, count),
        };
        // Each cell's heads through their own rows of W_O: [cells, rows · count, heads · d_head] · [cells, heads · d_head, d].
        var output = model.Weights.Blocks[layer].Attention.Output.view(config.ModelWidth, config.HeadCount, width).permute(1, 2, 0);
        var matrices = output.index_select(0, Flat(queryHeads)).reshape(cells.Count, many * width, config.ModelWidth);
        var rows = z.permute(0, 1, 3, 2, 4).reshape(cells.Count, -1, many * width);
        return rows.bmm(matrices).view(cells.Count, group.Rows, count, config.ModelWidth);
    }

    // The touched heads' z with one of q, k, v replaced.
    private Tensor Attention(IReadOnlyList<SweepCell> cells, int[][] queryHeads, PackedGroup cellGroup, int count)
    {
        int start = cellGroup.Start, end = start + cellGroup.Length;
        var keyHeads = cells.Select(KeyHeads).ToArray();
        var single = cells[0].Position >= 0;
        var replaced = single ? 1 : cellGroup.Length;
        var q = Heads(baseRun[Queries, layer], queryHeads, start, count);
        var k = Heads(baseRun[Keys, layer], keyHeads, 0, end);
        var v = Heads(baseRun[HookSite.V, layer], keyHeads, 0, end);
        switch (site)
        {
            case HookSite.Q: q = Heads(Rotated(start, count), queryHeads, 0, count); break;
            // Gathered, so these are copies that may be written to.
            case HookSite.K: k.narrow(3, start, replaced).copy_(Heads(Rotated(start, replaced), keyHeads, 0, replaced)); break;
            default: v.narrow(3, start, replaced).copy_(Heads(replacement, keyHeads, start, replaced)); break;
        }
        var mask = PrefixMask.Of(config, layer, start, count, end, baseRun.KeyMask, replacement.device);
        if (mask?.size(0) > 1) mask = mask.repeat([cells.Count, 1, 1, 1]);
        var z = AttentionKernel.Apply(config, q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1), () => mask, false, layer, NoHooks.Instance);
        return z.view(cells.Count, cellGroup.Rows, z.size(1), count, config.HeadWidth);
    }

    // z is linear in the pattern.
    private Tensor OfPattern(IReadOnlyList<SweepCell> cells, int[][] queryHeads, PackedGroup cellGroup, int count)
    {
        var change = replacement.narrow(2, cellGroup.Start, count) - baseRun[HookSite.Pattern, layer].narrow(2, cellGroup.Start, count);
        long keys = change.size(3), many = queryHeads[0].Length;
        // [rows, heads, count, keys] -> [cells, rows, heads, count, keys].
        var each = change.index_select(1, Flat(queryHeads)).view(cellGroup.Rows, cells.Count, many, count, keys).transpose(0, 1);
        if (cells[0].Last >= 0)
        {
            var sources = tensor(cells.Select(c => (long)c.Last).ToArray(), device: change.device).view(-1, 1, 1, 1, 1);
            var chosen = Ops.Range(keys, change.device).eq(sources);
            each = each * chosen.to(each.dtype);
        }
        var values = Heads(baseRun[HookSite.V, layer], [.. queryHeads.Select(h => h.Select(x => x / group).ToArray())], 0, (int)keys);
        return each.MatMul(values);
    }

    private Tensor Rotated(int start, int count)
    {
        var part = replacement.narrow(1, start, count);
        if (model.Rotary is null) return part;
        var (cos, sin) = model.Rotary.At(baseRun.Positions.narrow(1, start, count), baseRun.LongestPosition);
        return model.Rotary.Rotate(part, cos, sin);
    }

    // [rows, pos, heads, d] -> [cells, rows, chosen heads, count, d], copied.
    private static Tensor Heads(Tensor x, int[][] heads, int start, int count) =>
        x.narrow(1, start, count).index_select(2, tensor(heads.SelectMany(h => h).Select(h => (long)h).ToArray(), device: x.device))
            .view(x.size(0), count, heads.Length, heads[0].Length, x.size(3)).permute(2, 0, 3, 1, 4).contiguous();

    private int[] KeyHeads(SweepCell cell)
    {
        if (cell.Head < 0) return [.. Enumerable.Range(0, config.KeyHeads)];
        return [site == HookSite.Q ? cell.Head / group : cell.Head];
    }

    // A key or value head serves all query heads of its group.
    private int[] QueryHeads(SweepCell cell)
    {
        if (cell.Head < 0) return [.. Enumerable.Range(0, config.HeadCount)];
        return site is HookSite.K or HookSite.V ? [.. Enumerable.Range(cell.Head * group, group)] : [cell.Head];
    }

    private Tensor Flat(int[][] heads) => tensor(heads.SelectMany(h => h).Select(h => (long)h).ToArray(), device: replacement.device);
}
