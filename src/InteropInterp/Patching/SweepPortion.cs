namespace InteropInterp.Patching;

/// <summary>Cells of a sweep that have become known.</summary>
/// <param name="Cells">Their places in the result, row-major.</param>
/// <param name="Metrics">Per metric.</param>
public sealed record SweepPortion(IReadOnlyList<int> Cells, IReadOnlyList<SweepPortionValues> Metrics);

/// <summary>What one metric is in the cells of a portion.</summary>
/// <param name="Values">Per cell of the portion.</param>
/// <param name="PerRow">[cells · rows]; null for a callable metric.</param>
/// <param name="Baseline">As in <see cref="SweepValues"/>; NaN until it is known.</param>
/// <param name="Ends">Likewise, each NaN until it is known; null where there are no corruptions.</param>
public sealed record SweepPortionValues(IReadOnlyList<double> Values, IReadOnlyList<double>? PerRow, double Baseline, SweepEnds? Ends);
