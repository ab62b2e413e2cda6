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

/// <summary>The training of a tuned lens under way. A step is an update.</summary>
public sealed class TunedLensTraining : IStepwise<TunedLensResult>, IHasProgress
{
    private readonly TransformerModel model;
    private readonly IReadOnlyList<Row> rows;
    private readonly TunedLensOptions options;
    private readonly ExecutionOptions? execution;
    private readonly CancellationToken cancellation;
    private readonly TunedLens lens;
    private readonly List<KeyValuePair<string, Tensor>> parameters;
    private readonly AdamW optimiser;
    private readonly LearningRateSchedule schedule;
    private readonly Func<int> order;
    private readonly List<float> losses = [];
    private bool isTaken;

    internal TunedLensTraining(
        TransformerModel model, IReadOnlyList<Row> rows, TunedLensOptions options, ExecutionOptions? execution,
        CancellationToken cancellation)
    {
        options.Check();
        InterpException.Require(rows.Count > 0, "INVALID_OPTION", "A lens is trained on at least one row.");
        (this.model, this.rows, this.options, this.execution, this.cancellation) = (model, rows, options, execution, cancellation);
        lens = TunedLens.Identity(model);
        parameters = [.. TunedLens.Named(lens.Weights, lens.Biases)];
        foreach (var (_, tensor) in parameters) tensor.requires_grad_();
        optimiser = new AdamW(parameters, options.Optimiser);
        schedule = new LearningRateSchedule(options.LearningRate, DecaySteps: options.Steps);
        order = Order(rows.Count, options);
    }

    /// <summary>Updates done, and updates in all.</summary>
    public (int Done, int Total) Progress => (losses.Count, options.Steps);

    /// <summary>Of each update so far, before it.</summary>
    public IReadOnlyList<float> Losses => losses;

    /// <inheritdoc/>
    public bool Advance()
    {
        if (losses.Count == options.Steps) return false;
        var step = losses.Count;
        Plan plan = new() { Rows = [.. Enumerable.Range(0, Math.Min(options.BatchSize, rows.Count)).Select(_ => rows[order()])] };
        using var scope = NewDisposeScope();
        var streams = LensStreams.Capture(
            model, plan, LensStreams.Of(model.Config, false).Select(s => s.Point), Positions.All, execution, cancellation);
        var (loss, gradients) = Gradients(streams.flatten(1, 2));
        if (!float.IsFinite(loss))
            throw InterpException.Precondition("LOSS_NOT_FINITE",
                $"The loss of step {step} is {loss}: the learning rate {options.LearningRate} is too high.");
        optimiser.Step(gradients, schedule.At(step, options.Steps));
        losses.Add(loss);
        return losses.Count < options.Steps;
    }

    /// <inheritdoc/>
    public TunedLensResult TakeResult()
    {
        if (losses.Count < options.Steps) throw new InvalidOperationException("The training has steps left.");
        foreach (var (_, tensor) in parameters) tensor.requires_grad_(false);
        isTaken = true;
        return new TunedLensResult(lens, losses);
    }

    // Of every layer by itself: no more than one layer's graph is held.
    private (float Loss, IReadOnlyList<Tensor> Gradients) Gradients(Tensor streams)
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

    public void Dispose()
    {
        optimiser.Dispose();
        if (!isTaken) lens.Dispose();
    }
}
