namespace InteropInterp.Patching;

/// <summary>A metric per cell.</summary>
public sealed class SweepResult
{
    /// <summary>One number per cell, in row-major order of <see cref="Shape"/>.</summary>
    public required IReadOnlyList<double> Values { get; init; }

    /// <summary>Cells along each axis.</summary>
    public required IReadOnlyList<int> Shape { get; init; }

    public required IReadOnlyList<SweepAxis> Axes { get; init; }

    /// <summary>Along each axis, the layer, position or head of each index.</summary>
    public required IReadOnlyList<IReadOnlyList<int>> Indices { get; init; }

    /// <summary>Values per cell and row, [cells · rows]; null for a callable metric, which sees all rows at once.</summary>
    public IReadOnlyList<double>? PerRow { get; init; }

    /// <summary>The metric of the base run, nothing replaced.</summary>
    public required double Baseline { get; init; }

    /// <summary>The value of a cell, by its index along each axis.</summary>
    public double this[params ReadOnlySpan<int> cell]
    {
        get
        {
            var at = 0;
            for (var i = 0; i < cell.Length; i++) at = at * Shape[i] + cell[i];
            return Values[at];
        }
    }
}
