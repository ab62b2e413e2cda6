namespace InteropInterp.Studies;

/// <summary>What patching one layer's attention restores, as mean log-probabilities in nats.</summary>
public sealed record InductionPatchingResult
{
    /// <summary>The layer that was patched: the one whose heads score highest at induction.</summary>
    public required int Layer { get; init; }

    /// <summary>The heads that were also patched alone.</summary>
    public required IReadOnlyList<int> Heads { get; init; }

    /// <summary>The metric of the clean run.</summary>
    public required double Clean { get; init; }

    public required IReadOnlyList<CorruptionEffect> Corruptions { get; init; }

    /// <summary>The share of what a corruption took that a patch gives back: 0 as corrupted, 1 as clean.</summary>
    public double Restored(CorruptionEffect corruption, double patched) => (patched - corruption.Baseline) / (Clean - corruption.Baseline);
}

/// <param name="Name">The two segments, such as "AB".</param>
/// <param name="Baseline">The metric with nothing patched.</param>
/// <param name="AllHeads">With all heads of the layer patched; by part.</param>
/// <param name="SingleHeads">[part][head], one head patched.</param>
public sealed record CorruptionEffect(
    string Name, double Baseline, IReadOnlyList<double> AllHeads, IReadOnlyList<IReadOnlyList<double>> SingleHeads);
