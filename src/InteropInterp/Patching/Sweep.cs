using InteropInterp.Plans;
using InteropInterp.Plans.Metrics;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>
/// A plan run once per cell of a grid, each time with one part of one activation replaced, as one table of a metric
/// (activation patching). It never loops full passes: each cell resumes the base run at its layer, and cells share a pass.
/// </summary>
public sealed record Sweep
{
    /// <summary>What runs: rows, flags, and interventions that hold in every cell. It captures and generates nothing.</summary>
    public required Plan Base { get; init; }

    public required SweepGrid Grid { get; init; }
    public required SweepSource Source { get; init; }

    /// <summary>
    /// A declared metric; its mean over rows is a cell's value. Either this, <see cref="Function"/> or <see cref="AsksMetric"/>.
    /// </summary>
    public Metric? Metric { get; init; }

    /// <summary>Measured in the same passes besides <see cref="Metric"/>, which must then be given.</summary>
    public IReadOnlyList<Metric> MoreMetrics { get; init; } = [];

    /// <summary>
    /// A metric as TransformerLens users write it: given a cell's logits [rows, pos, vocabulary], a number. Called once per cell.
    /// Where it reads only last positions (it is tried on the base run first), the others hold NaN.
    /// </summary>
    public Func<Tensor, double>? Function { get; init; }

    /// <summary>Whoever steps the sweep answers its questions (<see cref="SweepExecution.Question"/>), one per cell.</summary>
    public bool AsksMetric { get; init; }

    /// <summary>All that are declared, in the order of the result's.</summary>
    internal IReadOnlyList<Metric> Declared => Metric is null ? [] : [Metric, .. MoreMetrics];

    /// <summary>Layers, positions, heads, source positions, neurons and features to sweep; the result has as many.</summary>
    public Positions Layers { get; init; } = Positions.All;

    public Positions PositionsSwept { get; init; } = Positions.All;
    public Positions Heads { get; init; } = Positions.All;
    public Positions SourcePositions { get; init; } = Positions.All;
    public Positions Neurons { get; init; } = Positions.All;
    public Positions Features { get; init; } = Positions.All;

    /// <summary>
    /// Bytes it may hold at once beside the weights: the passes are cut to fit, and what cannot fit with one cell is refused. Null: the
    /// engine's limits.
    /// </summary>
    public long? MemoryBudget { get; init; }

    /// <summary>Told (cells done, cells in all) after every pass.</summary>
    public Action<int, int>? Progress { get; init; }

    /// <summary>Told the cells that have become known, after every pass.</summary>
    public Action<SweepPortion>? Portions { get; init; }
}
