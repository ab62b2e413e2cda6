using InteropInterp.Models;
using InteropInterp.Native.Devices;
using InteropInterp.Plans.Execution;

namespace InteropInterp.Circuits.Paths;

/// <summary>Runs path patching.</summary>
public static class PathPatcher
{
    /// <summary>Runs on the calling thread, which takes the device's lease and offers it between passes.</summary>
    /// <exception cref="InterpException">Whatever of it cannot run, before anything runs; CANCELLED within a pass.</exception>
    public static PathPatchResult Run(
        TransformerModel model, PathPatch patch, ExecutionOptions? options = null, CancellationToken cancellation = default) =>
        DeviceLeases.Of(model.Device).Run(Start(model, patch, options), cancellation);

    /// <summary>Checked, ready to be stepped through by threads that hold the device's lease. Nothing has run yet.</summary>
    /// <exception cref="InterpException">Whatever of it cannot run.</exception>
    public static PathPatchExecution Start(TransformerModel model, PathPatch patch, ExecutionOptions? options = null) =>
        new(model, patch, options ?? new ExecutionOptions());
}
