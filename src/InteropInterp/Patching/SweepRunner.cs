using InteropInterp.Models;
using InteropInterp.Native.Devices;
using InteropInterp.Plans.Execution;

namespace InteropInterp.Patching;

/// <summary>Runs sweeps.</summary>
public static class SweepRunner
{
    /// <summary>Runs a sweep on the calling thread, which takes the device's lease and offers it between passes.</summary>
    /// <exception cref="InterpException">Whatever of it cannot run, before anything runs; CANCELLED within a pass.</exception>
    public static SweepResult Run(TransformerModel model, Sweep sweep, ExecutionOptions? options = null, CancellationToken cancellation = default)
    {
        InterpException.Require(!sweep.AsksMetric, "SWEEP_METRIC", "Nobody would answer: step the sweep yourself, or give it a function.");
        return DeviceLeases.Of(model.Device).Run(Start(model, sweep, options), cancellation);
    }

    /// <summary>The same; where it is cancelled within its passes, what is known by then (<see cref="SweepResult.IsComplete"/> is false).</summary>
    public static SweepResult RunUntilCancelled(TransformerModel model, Sweep sweep, CancellationToken cancellation, ExecutionOptions? options = null)
    {
        InterpException.Require(!sweep.AsksMetric, "SWEEP_METRIC", "Nobody would answer: step the sweep yourself, or give it a function.");
        var steps = Start(model, sweep, options);
        try
        {
            return DeviceLeases.Of(model.Device).Run(steps, cancellation);
        }
        catch (InterpException e) when (e.Code == ErrorCode.Cancelled)
        {
            return steps.Partial();
        }
    }

    /// <summary>A checked sweep, ready to be stepped through by threads that hold the device's lease. Nothing has run yet.</summary>
    /// <exception cref="InterpException">Whatever of it cannot run.</exception>
    public static SweepExecution Start(TransformerModel model, Sweep sweep, ExecutionOptions? options = null) =>
        new(model, sweep, options ?? new ExecutionOptions());
}
