using InteropInterp.Hooks;
using InteropInterp.Models.Forward;
using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>
/// The hooks of a pass that holds several cells: the batch is [cells · rows], and each cell has its own part of the site
/// replaced. The base plan's own interventions come first.
/// </summary>
internal sealed class SweepEdit(
    IActivationHooks inner, HookPoint point, bool isAttention, IReadOnlyList<SweepCell> cells, int rows, Tensor replacement) : IActivationHooks
{
    public bool Wants(HookSite site, int layer) => (site == point.Site && layer == point.Layer) || inner.Wants(site, layer);

    public Tensor At(HookSite site, int layer, Tensor value, bool isShared = false)
    {
        value = inner.At(site, layer, value, isShared);
        return site == point.Site && layer == point.Layer ? Replace(value) : value;
    }

    private Tensor Replace(Tensor value)
    {
        var copy = value.clone();
        // [cells, rows, pos, (heads), last]; scores and patterns are brought to that order by a view.
        var target = Canonical(copy.view([cells.Count, rows, .. copy.shape[1..]]), first: 2);
        var source = Canonical(replacement, first: 1);
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
