using System.Text.Json;
using InteropInterp.Models;
using InteropInterp.Models.Forward;
using InteropInterp.Models.Weights;
using InteropInterp.Hooks;
using InteropInterp.Native.Devices;
using InteropInterp.Native.Operators;
using InteropInterp.Plans.Metrics;
using static TorchSharp.torch;

namespace InteropInterp.Training;

/// <summary>
/// Trains the induction model. What is trained are the weights as the one forward pass multiplies them. The same seed and
/// thread count give the same weights bit for bit, also when the run was stopped and resumed.
/// </summary>
public sealed class InductionTrainer : IDisposable
{
    private const string Kind = "induction";

    private readonly List<KeyValuePair<string, Tensor>> parameters;
    private readonly AdamW optimiser;
    private readonly List<float> losses = [];

    /// <summary>A fresh run.</summary>
    public InductionTrainer(InductionTrainerOptions options)
    {
        options.Check();
        Options = options;
        Model = Fresh(options.Config, options.Device);
        parameters = [.. PackedWeights.Of(Model.Weights)];
        foreach (var (_, tensor) in parameters) tensor.requires_grad_();
        optimiser = new AdamW(parameters, options.Optimiser);
    }

    public InductionTrainerOptions Options { get; private init; }

    /// <summary>The model under training: its numbers change with every step.</summary>
    public TransformerModel Model { get; }

    /// <summary>Steps done.</summary>
    public long Step => losses.Count;

    /// <summary>The loss of each step's batch, before its update, in nats per token that counts.</summary>
    public IReadOnlyList<float> Losses => losses;

    /// <summary>A run that goes on where a checkpoint stands.</summary>
    /// <param name="steps">How far; null: as far as it was meant to go.</param>
    /// <param name="device">Where, which need not be where it began.</param>
    /// <exception cref="InterpException">CHECKPOINT_INVALID; INVALID_OPTION where it has done more steps already.</exception>
    public static InductionTrainer Resume(string path, long? steps = null, string device = "cpu")
    {
        Native.LibTorch.Load();
        using var checkpoint = Checkpoint.Open(path, Kind);
        var options = Settings(checkpoint) with { Device = device };
        if (steps is { } wanted) options = options with { Steps = wanted };
        InterpException.Require(checkpoint.Step <= options.Steps, "INVALID_OPTION",
            $"'{path}' has done {checkpoint.Step} steps; it cannot be resumed to {options.Steps}.");
        var trainer = new InductionTrainer(options);
        try
        {
            checkpoint.CopyInto(trainer.State);
            using var scope = NewDisposeScope();
            var curve = checkpoint.Read("losses");
            if (curve.dtype != ScalarType.Float32 || curve.numel() != checkpoint.Step)
                throw InterpException.DataLoss("CHECKPOINT_INVALID", $"'{path}' has {curve.numel()} losses of {checkpoint.Step} steps.");
            trainer.losses.AddRange(curve.data<float>().ToArray());
            return trainer;
        }
        catch
        {
            trainer.Dispose();
            throw;
        }
    }

    /// <summary>Trains to the last step, keeping checkpoints; a run that is cancelled leaves one behind.</summary>
    /// <param name="checkpoint">Where they are written; null: nowhere.</param>
    /// <param name="progress">Told after every step.</param>
    /// <exception cref="InterpException">CANCELLED between two steps; LOSS_NOT_FINITE.</exception>
    public void Run(string? checkpoint = null, Action<InductionTrainer>? progress = null, CancellationToken cancellation = default)
    {
        var lease = DeviceLeases.Of(Model.Device);
        using var holding = lease.Acquire(cancellation);
        try
        {
            while (Step < Options.Steps)
            {
                Advance();
                progress?.Invoke(this);
                if (checkpoint is not null && Step % Options.CheckpointEvery == 0) Save(checkpoint);
                if (Step < Options.Steps) lease.Offer(cancellation);
            }
        }
        catch (InterpException e) when (e.Code == ErrorCode.Cancelled)
        {
            if (checkpoint is not null) Save(checkpoint);
            throw;
        }
        if (checkpoint is not null) Save(checkpoint);
    }

    /// <summary>Writes everything that <see cref="Resume"/> needs.</summary>
    public void Save(string path)
    {
        using var scope = NewDisposeScope();
        Checkpoint.Save(path, Kind, Step, JsonSerializer.Serialize(Options),
            State.Append(KeyValuePair.Create("losses", tensor(losses.ToArray(), device: CPU))));
    }

    public void Dispose()
    {
        optimiser.Dispose();
        Model.Dispose();
    }

    private IEnumerable<KeyValuePair<string, Tensor>> State =>
        Named("weights", parameters).Concat(Named("adamw", optimiser.State));

    private static IEnumerable<KeyValuePair<string, Tensor>> Named(string prefix, IEnumerable<KeyValuePair<string, Tensor>> tensors) =>
        tensors.Select(t => KeyValuePair.Create($"{prefix}.{t.Key}", t.Value));

    private void Advance()
    {
        using var scope = NewDisposeScope();
        using var mode = enable_grad();
        int rows = Options.BatchSize, length = InductionTrainerOptions.Task.Length;
        var (ids, counts) = InductionTrainerOptions.Task.Draw((ulong)Options.Seed, Step * rows, rows);
        var tokens = tensor(ids, [rows, length], device: Model.Device);
        // The loss at a position is that of the next token.
        var weights = tensor(counts, [rows, length], device: Model.Device).narrow(1, 1, length - 1).to(ScalarType.Float32);
        using var layout = new RectangularLayout(Model.Config, rows, length, keyMask: null, cache: null, Model.Device);
        var pass = new ForwardPass(Model, ModelFlags.None, NoHooks.Instance, layout);
        var logits = pass.Unembed(pass.Blocks(pass.Embed(tokens), 0, Model.Config.LayerCount));
        var loss = (Loss.PerToken(logits, tokens) * weights).sum() / weights.sum();
        var value = loss.item<float>();
        if (!float.IsFinite(value))
            throw new InterpException(ErrorCode.FailedPrecondition, "LOSS_NOT_FINITE",
                $"The loss of step {Step} is {value}: the learning rate {Options.LearningRate} is too high.");
        var gradients = Backward.Gradients([loss], [.. parameters.Select(p => p.Value)]);
        optimiser.Step([.. gradients.Select(g => g!)], Options.Schedule.At(Step, Options.Steps));
        losses.Add(value);
    }

    // Absent biases cost nothing and are not trained.
    private static TransformerModel Fresh(TransformerConfig config, string device)
    {
        Native.LibTorch.Load();
        config = config.Complete();
        var all = RandomWeights.Make(config, config.Seed!.Value, ScalarType.Float32);
        try
        {
            return ModelLoader.FromStateDict(config, all.Where(w => !WeightNames.IsBias(w.Key)).ToDictionary(),
                new LoadOptions { Processing = ProcessingOptions.None, Device = device });
        }
        finally
        {
            foreach (var tensor in all.Values) tensor.Dispose();
        }
    }

    private static InductionTrainerOptions Settings(Checkpoint checkpoint)
    {
        try
        {
            return JsonSerializer.Deserialize<InductionTrainerOptions>(checkpoint.Settings) ?? throw new JsonException("no settings");
        }
        catch (JsonException e)
        {
            throw InterpException.DataLoss("CHECKPOINT_INVALID", $"'{checkpoint.Path}' has settings that are none: {e.Message}", e);
        }
    }
}
