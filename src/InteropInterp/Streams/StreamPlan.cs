using InteropInterp.Hooks;
using InteropInterp.Plans.Interventions;
using InteropInterp.Streams.Sources;

namespace InteropInterp.Streams;

/// <summary>
/// A run over a stream of tokens that gathers statistics at many hook points in one pass: memory stays what the statistics and one
/// batch need, however long the stream is.
/// </summary>
public sealed record StreamPlan
{
    /// <summary>Borrowed until the run has ended.</summary>
    public required ITokenSource Source { get; init; }

    public required IReadOnlyList<StreamProbe> Probes { get; init; }

    /// <summary>Which conditional hook points exist.</summary>
    public ModelFlags Flags { get; init; } = ModelFlags.None;

    /// <summary>Done in every batch, before probes look.</summary>
    public IReadOnlyList<Intervention> Interventions { get; init; } = [];

    /// <summary>So many tokens at the start of each row are run but not counted: 1 leaves out a BOS.</summary>
    public int SkipFirst { get; init; }

    /// <summary>Tokens that are run but not counted: padding, special ones.</summary>
    public IReadOnlyList<int> IgnoredTokens { get; init; } = [];

    /// <summary>It ends with the row in which so many tokens have been counted; null: with the source.</summary>
    public long? MaxTokens { get; init; }

    /// <summary>Positions in one pass, about: as many whole rows as fit, at least one.</summary>
    public int BatchTokens { get; init; } = 2048;

    /// <summary>Bytes that statistics may hold; more is refused.</summary>
    public long MemoryLimit { get; init; } = 8L << 30;

    /// <summary>A file to go on from where it is there, and to write to; null: none.</summary>
    public string? Checkpoint { get; init; }

    /// <summary>A checkpoint is written after so many tokens, and at the end.</summary>
    public long CheckpointEvery { get; init; } = 1 << 20;
}
