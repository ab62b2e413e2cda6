using InteropInterp.Hooks;
using InteropInterp.Plans.Checking;
using static TorchSharp.torch;

namespace InteropInterp.Plans.Execution;

/// <summary>The selected part of an activation, in its own axis order with every axis kept.</summary>
internal static class CapturedPart
{
    /// <summary>Null where nothing of it lies in this pass.</summary>
    public static Tensor? Of(CheckedPlan plan, CheckedCapture capture, Tensor value, BatchGeometry batch, Device device)
    {
        var where = capture.Capture.Where;
        var axes = plan.Catalogue.Axes(capture.Point);
        if (capture.AsRegion || !IsSameForAllRows(where, batch))
        {
            var regions = Region.Of(plan.Catalogue, capture.Point, where, batch, plan.RowCount, device);
            if (regions.Count == 0) return null;
            var region = regions[0].Read(value);
            return capture.AsRegion || !axes.Contains(HookAxis.KeyPosition) ? region : region.transpose(1, 2);
        }
        for (var axis = 0; axis < axes.Count; axis++)
        {
            var (positions, size) = axes[axis] switch
            {
                HookAxis.Batch => (where.Rows, plan.RowCount),
                HookAxis.Position => (where.Positions, batch.Lengths[0]),
                HookAxis.KeyPosition => (where.Last, batch.Lengths[0]),
                HookAxis.Head or HookAxis.KeyHead => (where.Heads, (int)value.size(axis)),
                _ => (axis == axes.Count - 1 ? where.Last : Positions.All, (int)value.size(axis)),
            };
            if (positions.IsAll) continue;
            var indices = axes[axis] switch
            {
                HookAxis.Batch => Rows(positions.Resolve(size, "row"), batch),
                HookAxis.Position => batch.InPass(0, positions.Within(size)),
                _ => positions.Within(size),
            };
            if (indices.Length == 0) return null;
            value = Select(value, axis, indices);
        }
        return value;
    }

    private static bool IsSameForAllRows(Selector where, BatchGeometry batch) =>
        batch.IsRectangular || (where.Positions.IsAll && where.Last.IsAll);

    private static int[] Rows(int[] wanted, BatchGeometry batch) =>
        [.. Enumerable.Range(0, batch.Rows.Count).Where(i => wanted.Contains(batch.Rows[i]))];

    private static Tensor Select(Tensor value, int axis, int[] indices)
    {
        var isRun = indices.Select((index, i) => index == indices[0] + i).All(same => same);
        return isRun
            ? value.narrow(axis, indices[0], indices.Length)
            : value.index_select(axis, tensor(indices.Select(i => (long)i).ToArray(), device: value.device));
    }
}
