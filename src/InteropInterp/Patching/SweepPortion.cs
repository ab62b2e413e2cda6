namespace InteropInterp.Patching;

/// <summary>Cells of a sweep that have become known.</summary>
/// <param name="Cells">Their places in the result, row-major.</param>
/// <param name="Values">[metrics][cells].</param>
/// <param name="PerRow">[metrics][cells · rows]; empty for a callable metric.</param>
public sealed record SweepPortion(IReadOnlyList<int> Cells, IReadOnlyList<IReadOnlyList<double>> Values, IReadOnlyList<IReadOnlyList<double>> PerRow);
