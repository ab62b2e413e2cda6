using InteropInterp.Hooks;
using InteropInterp.Models.Forward;
using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>
/// The hooks of a pass that holds several cells: the batch is [cells · rows], and each cell has its own part of the site
/// replaced. The base plan's own interventions come first.
/// </summary>
internal sealed class SweepEdit(IActivationHooks inner, SweepPart part, HookPoint point, IReadOnlyList<SweepCell> cells) : IActivationHooks
{
    private readonly bool isAttention = point.Info.Axes.Contains(HookAxis.KeyPosition);
    private readonly int rows = part.Plan.RowCount;

    public bool Wants(HookSite site, int layer) => (site == point.Site && layer == point.Layer) || inner.Wants(site, layer);

    public Tensor At(HookSite site, int layer, Tensor value, bool isShared = false)
    {
        value = inner.At(site, layer, value, isShared);
        if (site != point.Site || layer != point.Layer) return value;
        return part.FeaturesOf(layer) is { } features ? Change(value, features) : Replace(value);
    }

    private Tensor Change(Tensor value, FeatureChange features)
    {
        var cellsFirst = value.view([cells.Count, rows, .. value.shape[1..]]);
        if (cells[0].Position < 0) return cellsFirst.Plus(features.Of(cells, 0, part.Plan.Length)).view(value.shape);
        var copy = cellsFirst.clone();
        foreach (var together in cells.Select((cell, i) => (cell, i)).GroupBy(x => x.cell.Position))
        {
            var index = tensor(together.Select(x => (long)x.i).ToArray(), device: value.device);
            copy.narrow(2, together.Key, 1).index_add_(0, index, features.Of([.. together.Select(x => x.cell)], together.Key, 1), Scalars.One);
        }
        return copy.view(value.shape);
    }

    private Tensor Replace(Tensor value)
    {
        var copy = value.clone();
        // [cells, rows, pos, (heads), last]; scores and patterns are brought to that order by a view.
        var target = Canonical(copy.view([cells.Count, rows, .. copy.shape[1..]]), first: 2);
        var source = Canonical(part.Replacement(point.Layer), first: 1);
        // Cells of one sweep select along the same axes, so one indexed write serves all.
        var hasPosition = cells[0].Position >= 0;
        var hasHead = cells[0].Head >= 0;
        var hasLast = cells[0].Last >= 0;
        var device = value.device;
        Tensor Column(Func<SweepCell, long> of) => tensor(cells.Select(of).ToArray(), device: device).view(-1, 1);
        var rowIndex = TensorIndex.Tensor(Ops.Range(rows, device).view(1, -1));
        var position = hasPosition ? TensorIndex.Tensor(Column(c => c.Position)) : TensorIndex.Colon;
        var head = hasHead ? TensorIndex.Tensor(Column(c => c.Head)) : TensorIndex.Colon;

        var index = new List<TensorIndex> { rowIndex, position };
        if (hasHead || (hasLast && isAttention)) index.Add(head);
        if (hasLast) index.Add(TensorIndex.Tensor(Column(c => c.Last)));
        target.index_put_(source.index([.. index]), [TensorIndex.Tensor(Column(c => IndexOf(c))), .. index]);
        return copy;
    }

    private long IndexOf(SweepCell cell) => cell.Index - cells[0].Index;

    private Tensor Canonical(Tensor x, int first) => isAttention ? x.transpose(first, first + 1) : x;
}
