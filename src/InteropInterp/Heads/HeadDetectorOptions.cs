namespace InteropInterp.Heads;

/// <summary>How patterns are compared.</summary>
public enum PatternError
{
    /// <summary>TransformerLens's "mul": the share of a head's counted attention that is on the pattern; 0 where none counts.</summary>
    Multiplied,

    /// <summary>
    /// TransformerLens's "abs": 1 less the mean absolute difference, times the number of positions, rounded to three places: 1 at best, and
    /// below -1 for patterns that have little in common.
    /// </summary>
    Absolute,
}

/// <summary>What of attention counts, and how.</summary>
public sealed record HeadDetectorOptions
{
    /// <summary>Heads to score; others are -1. Null: all.</summary>
    public IReadOnlyList<(int Layer, int Head)>? Heads { get; init; }

    /// <summary>Leave attention to the first position out of account.</summary>
    public bool ExcludeBos { get; init; }

    /// <summary>Leave attention of each position to itself out of account.</summary>
    public bool ExcludeCurrentToken { get; init; }

    public PatternError Error { get; init; } = PatternError.Multiplied;
}
