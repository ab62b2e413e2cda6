namespace InteropInterp.Studies;

/// <summary>The size of an induction study.</summary>
public sealed record InductionStudyOptions
{
    /// <summary>Rows of random tokens.</summary>
    public int Rows { get; init; } = 16;

    /// <summary>Rows that are patched: every cell of the table runs them.</summary>
    public int PatchedRows { get; init; } = 4;

    /// <summary>Tokens of a segment; shorter where the context has no room for two of them.</summary>
    public int Period { get; init; } = 20;

    /// <summary>Heads of the patched layer that are also patched alone: the best at induction.</summary>
    public int SingleHeads { get; init; } = 4;

    /// <summary>A model study's circuit is looked for among as many edges, the strongest.</summary>
    public int CircuitEdges { get; init; } = 24;

    public ulong Seed { get; init; }
}
