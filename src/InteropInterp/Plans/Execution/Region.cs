using InteropInterp.Hooks;
using static TorchSharp.torch;

namespace InteropInterp.Plans.Execution;

/// <summary>
/// A selected part of an activation in one pass, seen as [rows, positions, heads (where there are), last axis]: read out, and
/// written back into a copy.
/// </summary>
internal sealed class Region
{
    private readonly bool isAttention;
    private readonly TensorIndex[]? index;

    private Region(bool isAttention, IReadOnlyList<int> rows, IReadOnlyList<int> selected, TensorIndex[]? index)
    {
        this.isAttention = isAttention;
        this.index = index;
        Rows = rows;
        Selected = selected;
    }

    /// <summary>Rows of the plan.</summary>
    public IReadOnlyList<int> Rows { get; }

    /// <summary>Where each of them stands among the rows that the selector names.</summary>
    public IReadOnlyList<int> Selected { get; }

    /// <summary>
    /// The regions of a selector in a pass: one, or one per number of positions where rows of different length are cut
    /// differently; none where nothing of it lies in this pass.
    /// </summary>
    public static IReadOnlyList<Region> Of(HookCatalogue catalogue, HookPoint point, Selector where, BatchGeometry batch, int planRows, Device device)
    {
        var axes = catalogue.Axes(point);
        var isAttention = axes.Contains(HookAxis.KeyPosition);
        var selected = where.Rows.Resolve(planRows, "row").Select((row, order) => (row, order)).ToDictionary(x => x.row, x => x.order);
        var rows = Enumerable.Range(0, batch.Rows.Count).Where(i => selected.ContainsKey(batch.Rows[i])).ToList();
        if (rows.Count == batch.Rows.Count && where.Positions.IsAll && where.Heads.IsAll && where.Last.IsAll)
            return [new Region(isAttention, batch.Rows, [.. batch.Rows.Select(r => selected[r])], null)];

        var heads = axes.FirstOrDefault(a => a is HookAxis.Head or HookAxis.KeyHead, HookAxis.Batch) is var axis && axis != HookAxis.Batch
            ? where.Heads.Resolve((int)catalogue.Size(axis)!.Value, "head")
            : null;
        var regions = new List<Region>();
        foreach (var group in rows.Select(i => (Row: i, Positions: InPass(where.Positions, batch, i))).GroupBy(x => x.Positions.Length))
        {
            if (group.Key == 0) continue;
            var members = group.ToList();
            var last = where.Last.IsAll ? null : members.Select(m => Last(catalogue, axes[^1], where.Last, batch, m.Row)).ToList();
            regions.Add(new Region(
                isAttention,
                [.. members.Select(m => batch.Rows[m.Row])],
                [.. members.Select(m => selected[batch.Rows[m.Row]])],
                Index([.. members.Select(m => m.Row)], [.. members.Select(m => m.Positions)], heads, last, device)));
        }
        return regions;
    }

    /// <summary>The region's values; a view where everything is selected.</summary>
    public Tensor Read(Tensor activation)
    {
        var canonical = Canonical(activation);
        return index is null ? canonical : canonical.index(index);
    }

    /// <summary>The activation with the region replaced; the one given is not written to.</summary>
    public Tensor Write(Tensor activation, Tensor region)
    {
        if (index is null) return Canonical(region);
        var copy = activation.clone();
        Canonical(copy).index_put_(region, index);
        return copy;
    }

    // [batch, head, query, key] <-> [batch, query, head, key]: the swap is its own inverse.
    private Tensor Canonical(Tensor x) => isAttention ? x.transpose(1, 2) : x;

    private static int[] InPass(Positions positions, BatchGeometry batch, int row) => positions.IsAll
        ? [.. Enumerable.Range(0, batch.Length)]
        : batch.InPass(row, positions.Within(batch.Lengths[row]));

    private static int[] Last(HookCatalogue catalogue, HookAxis axis, Positions last, BatchGeometry batch, int row) => axis == HookAxis.KeyPosition
        ? [.. last.Within(batch.Lengths[row]).Select(p => p + batch.Offsets[row])]
        : last.Resolve((int)catalogue.Size(axis)!.Value, "index");

    // Index tensors that broadcast to [rows, positions, heads, last].
    private static TensorIndex[] Index(long[] rows, int[][] positions, int[]? heads, List<int[]>? last, Device device)
    {
        var rank = 2 + (heads is null ? 0 : 1) + (last is null ? 0 : 1);
        long[] Shape(params ReadOnlySpan<(int Axis, long Size)> sizes)
        {
            var shape = Enumerable.Repeat(1L, rank).ToArray();
            foreach (var (axis, size) in sizes) shape[axis] = size;
            return shape;
        }
        TensorIndex Make(IEnumerable<long> values, long[] shape) => TensorIndex.Tensor(tensor(values.ToArray(), device: device).view(shape));

        long count = rows.Length, width = positions[0].Length;
        var result = new List<TensorIndex>
        {
            Make(rows, Shape((0, count))),
            Make(positions.SelectMany(p => p).Select(p => (long)p), Shape((0, count), (1, width))),
        };
        if (heads is not null) result.Add(Make(heads.Select(h => (long)h), Shape((2, heads.Length))));
        if (last is not null)
        {
            if (last.Any(l => l.Length != last[0].Length))
                throw InterpException.Invalid("RAGGED_SELECTION",
                    "Key positions select different numbers in rows of different length; select them by index.");
            result.Add(Make(last.SelectMany(l => l).Select(l => (long)l), Shape((0, count), (rank - 1, last[0].Length))));
        }
        return [.. result];
    }
}
