namespace InteropInterp.Plans.Execution;

/// <summary>How plans are cut and how much they may hold.</summary>
public sealed record ExecutionOptions
{
    /// <summary>
    /// Bytes one pass may need beside the weights. A plan that needs more is cut into batches of rows; the cut depends on the plan
    /// and this number alone.
    /// </summary>
    public long BatchBudget { get; init; } = 2L << 30;

    /// <summary>Bytes a run may need in all, results included; a plan that needs more is refused. Null: no limit.</summary>
    public long? MemoryLimit { get; init; }
}
