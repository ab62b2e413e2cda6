namespace InteropInterp.Patching;

/// <summary>One or more metrics per cell.</summary>
public sealed class SweepResult
{
    /// <summary>Per metric, in the sweep's order: cells in row-major order of <see cref="Shape"/>.</summary>
    public required IReadOnlyList<SweepValues> Metrics { get; init; }

    /// <summary>The first metric's, one number per cell.</summary>
    public IReadOnlyList<double> Values => Metrics[0].Values;

    /// <summary>Cells along each axis.</summary>
    public required IReadOnlyList<int> Shape { get; init; }

    public required IReadOnlyList<SweepAxis> Axes { get; init; }

    /// <summary>Along each axis, the layer, position, head, neuron or feature of each index; a <see cref="Plans.PatchDirections"/> of directions.</summary>
    public required IReadOnlyList<IReadOnlyList<int>> Indices { get; init; }

    /// <summary>The names of the corruptions, where there are any: those of <see cref="SweepAxis.Corruption"/>.</summary>
    public IReadOnlyList<string> Corruptions { get; init; } = [];

    /// <summary>False where the sweep was stopped: cells that are missing hold NaN.</summary>
    public bool IsComplete { get; init; } = true;

    /// <summary>The first metric's per cell and row, [cells · rows]; null for a callable metric.</summary>
    public IReadOnlyList<double>? PerRow => Metrics[0].PerRow;

    /// <summary>The first metric of the base run, nothing replaced; with corruptions of the first one's.</summary>
    public double Baseline => Metrics[0].Baseline;

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
