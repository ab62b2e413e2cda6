namespace InteropInterp.Plans;

/// <summary>
/// Which part of an activation: an outer product of rows, positions, heads, key positions and entries of the last axis. What
/// is selected is seen as a region [rows, positions, heads (where there are), last axis].
/// </summary>
public sealed record Selector
{
    public static Selector All { get; } = new();

    /// <summary>Rows of the plan.</summary>
    public Positions Rows { get; init; } = Positions.All;

    /// <summary>Positions; in scores and patterns those that attend (destinations).</summary>
    public Positions Positions { get; init; } = Positions.All;

    /// <summary>Heads; only at points that have them.</summary>
    public Positions Heads { get; init; } = Positions.All;

    /// <summary>
    /// Entries of the last axis: neurons of an MLP, dimensions of a stream; in scores and patterns the positions attended to
    /// (sources).
    /// </summary>
    public Positions Last { get; init; } = Positions.All;

    /// <summary>The first decode step at which it holds; 0 is the prompt. Without generation there is only step 0.</summary>
    public int FromStep { get; init; }

    /// <summary>The step at which it ends (exclusive); null: never.</summary>
    public int? ToStep { get; init; }

    /// <summary>Whether a step lies within <see cref="FromStep"/> and <see cref="ToStep"/>.</summary>
    public bool HoldsAt(int step) => step >= FromStep && (ToStep is null || step < ToStep);
}
