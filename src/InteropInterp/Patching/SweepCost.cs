using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Plans.Checking;

namespace InteropInterp.Patching;

/// <summary>
/// Bytes that a cell takes in a pass, from shapes alone; nothing that a layer makes is let go before its end. The factors were fitted to
/// the growth of a process around sweeps of every grid, which exceeds what this adds up to by a tenth at most.
/// </summary>
/// <param name="PerToken">For each token that runs: its residual streams, and what a layer makes of it.</param>
/// <param name="PerRow">For each row of the plan: the keys and values that are put together for its attention.</param>
/// <param name="Once">Rows of W_O for the heads that a cell changes.</param>
/// <param name="Rows">Of the plan.</param>
internal readonly record struct SweepCost(long PerToken, long PerRow, long Once, int Rows)
{
    /// <param name="tokens">Per row.</param>
    public long PerCell(int tokens) => Once + Rows * (tokens * PerToken + PerRow);

    public static SweepCost Of(TransformerModel model, SweepGrid grid, CheckedPlan plan)
    {
        if (!PackedSweep.Supports(model.Config, grid, plan)) return new SweepCost(0, PlanCost.Of(model, plan).WorkingBytesPerRow, 0, plan.RowCount);
        var c = model.Config;
        long element = model.ElementSize;
        var heads = grid.Bases.Count > 0 || !HookSiteInfo.Of(grid.Site).HasHeads ? 0
            : !grid.Axes.Contains(SweepAxis.Head) ? c.HeadCount
            : grid.Site is HookSite.K or HookSite.V ? c.HeadCount / c.KeyHeads : 1;
        return new SweepCost(
            5 * element * (6L * c.ModelWidth + 4L * c.HeadCount * c.HeadWidth + 3L * (c.MlpWidth ?? 0)),
            10 * element * plan.Length * c.KeyHeads * c.HeadWidth, 2L * element * heads * c.HeadWidth * c.ModelWidth, plan.RowCount);
    }
}
