using InteropInterp.Circuits;
using InteropInterp.Models;
using InteropInterp.Native.Devices;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;

namespace InteropInterp.Attribution;

/// <summary>Runs attribution patching of edges.</summary>
public static class EdgePatcher
{
    /// <summary>Runs on the calling thread, which takes the device's lease and offers it between passes.</summary>
    /// <exception cref="InterpException">Whatever of it cannot run, before anything runs; CANCELLED within a pass.</exception>
    public static EdgeScores Run(TransformerModel model, EdgePatch patch, ExecutionOptions? options = null,
        CancellationToken cancellation = default) =>
        DeviceLeases.Of(model.Device).Run(Start(model, patch, options), cancellation);

    /// <summary>Checked, ready to be stepped through by threads that hold the device's lease. Nothing has run yet.</summary>
    /// <exception cref="InterpException">Whatever of it cannot run.</exception>
    public static EdgePatchExecution Start(TransformerModel model, EdgePatch patch, ExecutionOptions? options = null)
    {
        AttributionPairs.Check(model, patch.Clean, patch.Corrupt, patch.Metric);
        InterpException.Require(patch.Direction is PatchDirections.Noising or PatchDirections.Denoising, "EDGE_DIRECTION",
            "Edges are scored in one direction: noising or denoising.");
        InterpException.Require(patch.Method == EdgeMethod.Gradient || patch.Steps > 0, "INVALID_OPTION",
            $"{patch.Steps} steps: an average needs at least one.");
        return new EdgePatchExecution(model, patch, options ?? new ExecutionOptions());
    }
}
