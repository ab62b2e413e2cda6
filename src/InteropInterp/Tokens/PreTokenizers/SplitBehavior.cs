namespace InteropInterp.Tokens.PreTokenizers;

/// <summary>What becomes of the matches that a text is cut at: "the-final--countdown" at "-".</summary>
internal enum SplitBehavior
{
    /// <summary>the, final, countdown.</summary>
    Removed,

    /// <summary>the, -, final, -, -, countdown.</summary>
    Isolated,

    /// <summary>the-, final-, -, countdown.</summary>
    MergedWithPrevious,

    /// <summary>the, -final, -, -countdown.</summary>
    MergedWithNext,

    /// <summary>the, -, final, --, countdown.</summary>
    Contiguous,
}
