using InteropInterp.Models;
using InteropInterp.Plans.Checking;

namespace InteropInterp.Patching;

/// <summary>Bytes that a cell takes in a pass, from shapes alone.</summary>
/// <param name="PerToken">For each token that runs: what a layer makes of it.</param>
/// <param name="PerRow">For each row of the plan: the keys and values that are put together for its attention.</param>
/// <param name="Rows">Of the plan.</param>
internal readonly record struct SweepCost(long PerToken, long PerRow, int Rows)
{
    /// <param name="tokens">Per row.</param>
    public long PerCell(int tokens) => Rows * (tokens * PerToken + PerRow);

    public static SweepCost Of(TransformerModel model, SweepGrid grid, CheckedPlan plan)
    {
        if (!PackedSweep.Supports(model.Config, grid, plan))
            return new SweepCost(0, PlanCost.Of(model, plan).WorkingBytesPerRow, plan.RowCount);
        var c = model.Config;
        var element = model.DataType == TorchSharp.torch.ScalarType.Float64 ? 8L : 4L;
        return new SweepCost(
            2 * element * (6L * c.ModelWidth + 4L * c.HeadCount * c.HeadWidth + 3L * (c.MlpWidth ?? 0)),
            4 * element * plan.Length * c.KeyHeads * c.HeadWidth, plan.RowCount);
    }
}
