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
        using var execution = new SweepExecution(model, sweep, options ?? new ExecutionOptions());
        var lease = DeviceLeases.Of(model.Device);
        using var holding = lease.Acquire(cancellation);
        while (execution.Step()) lease.Offer(cancellation);
        return execution.Result;
    }
}
