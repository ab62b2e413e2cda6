using InteropInterp.Models;
using InteropInterp.Models.Forward;
using InteropInterp.Native.Devices;
using InteropInterp.Native.Operators;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using InteropInterp.Randomness;
using InteropInterp.Training;
using static TorchSharp.torch;

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
        options ??= new TunedLensOptions();
        options.Check();
        InterpException.Require(rows.Count > 0, "INVALID_OPTION", "A lens is trained on at least one row.");
        var lease = DeviceLeases.Of(model.Device);
        using var holding = lease.Acquire(cancellation);
        var lens = TunedLens.Identity(model);
        try
        {
            var parameters = TunedLens.Named(lens.Weights, lens.Biases).ToList();
            foreach (var (_, tensor) in parameters) tensor.requires_grad_();
            using var optimiser = new AdamW(parameters, options.Optimiser);
            var schedule = new LearningRateSchedule(options.LearningRate, DecaySteps: options.Steps);
            var order = Order(rows.Count, options);
            var losses = new List<float>(options.Steps);
            for (var step = 0; step < options.Steps; step++)
            {
                if (step > 0) lease.Offer(cancellation);
                Plan plan = new() { Rows = [.. Enumerable.Range(0, Math.Min(options.BatchSize, rows.Count)).Select(_ => rows[order()])] };
                using var scope = NewDisposeScope();
                var streams = LensStreams.Capture(
                    model, plan, LensStreams.Of(model.Config, false).Select(s => s.Point), Positions.All, execution, cancellation);
                var (loss, gradients) = Gradients(model, lens, streams.flatten(1, 2));
                if (!float.IsFinite(loss))
                    throw InterpException.Precondition("LOSS_NOT_FINITE",
                        $"The loss of step {step} is {loss}: the learning rate {options.LearningRate} is too high.");
                optimiser.Step(gradients, schedule.At(step, options.Steps));
                losses.Add(loss);
                progress?.Invoke(step, loss);
            }
            foreach (var (_, tensor) in parameters) tensor.requires_grad_(false);
            return new TunedLensResult(lens, losses);
        }
        catch
        {
            lens.Dispose();
            throw;
        }
    }

    // Of every layer by itself: no more than one layer's graph is held.
    private static (float Loss, IReadOnlyList<Tensor> Gradients) Gradients(TransformerModel model, TunedLens lens, Tensor streams)
    {
        Tensor final;
        using (no_grad()) final = model.Unembed(streams[streams.size(0) - 1]).log_softmax(-1);
        var probabilities = final.exp();
        var entropy = (probabilities * final).sum(-1).mean();
        var (total, gradients) = (0f, new List<Tensor>());
        using var mode = enable_grad();
        for (var l = 0; l < lens.Weights.Count; l++)
        {
            using var scope = NewDisposeScope();
            var predicted = model.Unembed(lens.Translate(l, streams[l])).log_softmax(-1);
            var loss = entropy - (probabilities * predicted).sum(-1).mean();
            total += loss.detach().to(ScalarType.Float32).item<float>();
            gradients.AddRange(Backward.Gradients([loss], [lens.Weights[l], lens.Biases[l]]).Select(g => g!.MoveToOuterDisposeScope()));
        }
        return (total / lens.Weights.Count, gradients);
    }

    // Row numbers, every row once before any comes again.
    private static Func<int> Order(int count, TunedLensOptions options)
    {
        var (left, epoch) = (new List<int>(), 0L);
        var draws = new CounterDraws(options.Seed, 0);
        return () =>
        {
            if (left.Count == 0)
            {
                left.AddRange(Enumerable.Range(0, count));
                draws = new CounterDraws(options.Seed, epoch++);
            }
            var at = draws.Below(left.Count);
            var row = left[at];
            left[at] = left[^1];
            left.RemoveAt(left.Count - 1);
            return row;
        };
    }
}
