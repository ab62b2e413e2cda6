using InteropInterp.Models;
using InteropInterp.Native.Devices;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;

namespace InteropInterp.Lenses;

/// <summary>
/// Trains a <see cref="TunedLens"/>: each layer's translator minimises KL(final || lens) over all positions of the rows, for itself.
/// The model is not changed. The same rows and options give the same lens on the same machine.
/// </summary>
public static class TunedLensTrainer
{
    /// <param name="rows">Of one length.</param>
    /// <param name="progress">Told of every step and its loss.</param>
    /// <exception cref="InterpException">INVALID_OPTION, POSITIONS_RAGGED, NO_LAYERS, LOSS_NOT_FINITE; CANCELLED between two steps.</exception>
    public static TunedLensResult Train(
        TransformerModel model, IReadOnlyList<Row> rows, TunedLensOptions? options = null, ExecutionOptions? execution = null,
        Action<int, float>? progress = null, CancellationToken cancellation = default)
    {
        using var training = Start(model, rows, options, execution, cancellation);
        DeviceLeases.Of(model.Device).Run(() =>
        {
            var more = training.Advance();
            progress?.Invoke(training.Progress.Done - 1, training.Losses[^1]);
            return more;
        }, cancellation);
        return training.TakeResult();
    }

    /// <summary>The same, step by step.</summary>
    /// <exception cref="InterpException">INVALID_OPTION.</exception>
    public static TunedLensTraining Start(
        TransformerModel model, IReadOnlyList<Row> rows, TunedLensOptions? options = null, ExecutionOptions? execution = null,
        CancellationToken cancellation = default) => new(model, rows, options ?? new TunedLensOptions(), execution, cancellation);
}
