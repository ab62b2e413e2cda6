using InteropInterp.Generation;
using InteropInterp.Models;
using InteropInterp.Native.Devices;
using InteropInterp.Plans.Checking;
using InteropInterp.Plans.Execution;

namespace InteropInterp.Plans;

/// <summary>Checks and runs plans: the one way into the executor.</summary>
public static class PlanRunner
{
    /// <summary>Checks a plan and says what it would cost, without running it.</summary>
    public static PlanReport Check(TransformerModel model, Plan plan, ExecutionOptions? options = null)
    {
        options ??= new ExecutionOptions();
        var (checkedPlan, cost) = Checked(model, plan, options);
        var batches = BatchPlanner.Cut(model, checkedPlan, options).ToList();
        return new PlanReport(
            cost.Flops, cost.ResultBytes, cost.WorkingBytesPerRow * batches.Max(b => b.Count), batches.Count, cost.Captures,
            [.. checkedPlan.Interventions.Select(i => (IReadOnlyList<string>)[.. i.Points.Select(p => p.Name)])]);
    }

    /// <summary>
    /// Runs a plan on the calling thread, which takes the device's lease and offers it between steps.
    /// </summary>
    /// <exception cref="InterpException">Whatever of the plan cannot run, before anything runs; CANCELLED within a step.</exception>
    public static RunResult Run(TransformerModel model, Plan plan, ExecutionOptions? options = null, CancellationToken cancellation = default)
    {
        return DeviceLeases.Of(model.Device).Run(Start(model, plan, options), cancellation);
    }

    /// <summary>A checked plan, ready to be stepped through by threads that hold the device's lease. Nothing has run yet.</summary>
    /// <exception cref="InterpException">Whatever of the plan cannot run.</exception>
    public static PlanExecution Start(TransformerModel model, Plan plan, ExecutionOptions? options = null)
    {
        options ??= new ExecutionOptions();
        var (checkedPlan, cost) = Checked(model, plan, options);
        return new PlanExecution(model, checkedPlan, options) { ResultBytes = cost.ResultBytes };
    }

    private static (CheckedPlan Plan, PlanCost Cost) Checked(TransformerModel model, Plan plan, ExecutionOptions options)
    {
        if (plan.Generation is { } generation) Sampler.Check(generation);
        var checkedPlan = PlanChecker.Check(model, plan);
        var cost = PlanCost.Of(model, checkedPlan);
        if (options.MemoryLimit is { } limit && cost.ResultBytes + cost.WorkingBytesPerRow > limit)
            throw new InterpException(ErrorCode.ResourceExhausted, "PLAN_TOO_LARGE",
                $"The plan needs about {(cost.ResultBytes + cost.WorkingBytesPerRow) >> 20:N0} MiB ({cost.ResultBytes >> 20:N0} of it results); the limit is {limit >> 20:N0} MiB. " +
                "Capture fewer points or positions, or run fewer rows.");
        return (checkedPlan, cost);
    }
}
