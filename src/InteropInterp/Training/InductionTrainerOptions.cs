using System.Text.Json.Serialization;
using InteropInterp.Models;

namespace InteropInterp.Training;

/// <summary>The recipe of the induction model: a two-layer attention-only transformer that learns to copy what follows.</summary>
public sealed record InductionTrainerOptions
{
    /// <summary>BOS and 48 symbols.</summary>
    public const int ContextLength = 49;

    public long Steps { get; init; } = 2500;
    public int BatchSize { get; init; } = 32;
    public double LearningRate { get; init; } = 2e-3;
    public double Beta1 { get; init; } = 0.9;
    public double Beta2 { get; init; } = 0.98;
    public double WeightDecay { get; init; } = 0.01;

    /// <summary>Decides weights and data.</summary>
    public long Seed { get; init; }

    /// <summary>"cpu" or "cuda:N": of the machine, not of the run, so a checkpoint may be resumed on another.</summary>
    [JsonIgnore]
    public string Device { get; init; } = "cpu";

    /// <summary>Steps between two checkpoints.</summary>
    public int CheckpointEvery { get; init; } = 500;

    internal AdamWOptions Optimiser => new() { Beta1 = Beta1, Beta2 = Beta2, WeightDecay = WeightDecay };

    internal LearningRateSchedule Schedule => new(LearningRate);

    internal static InductionTask Task =>
        new(InductionVocabulary.Symbols.Length, InductionVocabulary.Bos, ContextLength, ShortestSegment: 10, LongestSegment: 23);

    /// <summary>
    /// No norm, no MLP, no biases; positions reach queries and keys only (shortformer), so that what is copied is a token.
    /// </summary>
    internal TransformerConfig Config => new()
    {
        ModelName = "induction",
        LayerCount = 2,
        ModelWidth = 64,
        HeadCount = 4,
        HeadWidth = 16,
        ContextLength = ContextLength,
        VocabularySize = InductionVocabulary.Symbols.Length + 1,
        AttentionOnly = true,
        Normalization = null,
        PositionalEmbedding = "shortformer",
        Seed = Seed,
    };

    /// <exception cref="InterpException">INVALID_OPTION: names the option and what it may be.</exception>
    public void Check()
    {
        InterpException.Require(Steps is > 0 and <= 10_000_000, "INVALID_OPTION", $"steps is {Steps}; it must be 1 to 10,000,000.");
        InterpException.Require(BatchSize is > 0 and <= 4096, "INVALID_OPTION", $"The batch size is {BatchSize}; it must be 1 to 4096.");
        InterpException.Require(LearningRate is > 0 and <= 1, "INVALID_OPTION",
            $"The learning rate is {LearningRate}; it must be above 0 and at most 1.");
        InterpException.Require(CheckpointEvery > 0, "INVALID_OPTION", $"Checkpoints every {CheckpointEvery} steps: it must be above 0.");
        Optimiser.Check();
    }
}
