using InteropInterp.Models;
using InteropInterp.Plans.Checking;

namespace InteropInterp.Plans.Execution;

/// <summary>Cuts a plan's rows into batches that keep to a budget. The cut depends on the plan and the budget alone.</summary>
internal static class BatchPlanner
{
    public static IEnumerable<IReadOnlyList<int>> Cut(TransformerModel model, CheckedPlan plan, ExecutionOptions options)
    {
        var rows = plan.RowCount;
        var cost = PlanCost.Of(model, plan);
        // A callback sees the plan's rows whole.
        var fit = plan.Plan.HasCallbacks ? rows : (int)Math.Clamp(options.BatchBudget / Math.Max(1, cost.WorkingBytesPerRow), 1, rows);
        // Even batches rather than a full one and a rest.
        var count = (rows + fit - 1) / fit;
        for (var i = 0; i < count; i++)
        {
            int start = (int)((long)rows * i / count), end = (int)((long)rows * (i + 1) / count);
            yield return [.. Enumerable.Range(start, end - start)];
        }
    }
}
