using InteropInterp.Models;
using InteropInterp.Plans.Checking;
using InteropInterp.Plans.Execution;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>What the passes of a sweep have in common.</summary>
internal sealed class SweepContext(TransformerModel model, Sweep sweep, CheckedPlan plan, SweepCells cells, ExecutionOptions options) : IDisposable
{
    private readonly double[] values = new double[cells.Count];
    private readonly double[]? perRow = sweep.Metric is null ? null : new double[(long)cells.Count * plan.RowCount];
    private int done;

    public TransformerModel Model => model;
    public Sweep Sweep => sweep;
    public CheckedPlan Plan => plan;
    public SweepCells Cells => cells;
    public ExecutionOptions Options => options;
    public SweepMetric Metric { get; } = new(sweep);

    /// <summary>Cells whose number is known, and cells in all.</summary>
    public (int Done, int Total) Progress => (done, values.Length);

    /// <summary>The values that are put in, per layer, [rows, ...] in the site's own axes.</summary>
    public Dictionary<int, Tensor> Replacements { get; } = [];

    /// <summary>Positions at which source and base have the same tokens in all rows, and see the same.</summary>
    public int SharedPrefix { get; set; }

    /// <summary>Stores the numbers of a cell.</summary>
    /// <param name="each">Per row; empty where the metric is not declared.</param>
    public void Set(SweepCell cell, double mean, ReadOnlySpan<double> each)
    {
        values[cell.Index] = mean;
        if (perRow is not null) each.CopyTo(perRow.AsSpan(checked(cell.Index * plan.RowCount), plan.RowCount));
        done++;
    }

    public SweepResult Finish() => new()
    {
        Values = values,
        PerRow = perRow,
        Shape = [.. cells.Indices.Select(i => i.Length)],
        Axes = sweep.Grid.Axes,
        Indices = cells.Indices,
        Baseline = Metric.Baseline,
    };

    public void Dispose()
    {
        Metric.Dispose();
        foreach (var tensor in Replacements.Values) tensor.Dispose();
    }
}
