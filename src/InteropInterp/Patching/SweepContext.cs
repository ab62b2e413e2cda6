using InteropInterp.Models;
using InteropInterp.Plans.Checking;
using InteropInterp.Plans.Execution;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>What the passes of a sweep have in common.</summary>
internal sealed class SweepContext(TransformerModel model, Sweep sweep, CheckedPlan plan, SweepCells cells, ExecutionOptions options) : IDisposable
{
    private readonly double[][] values = [.. Enumerable.Range(0, Math.Max(1, sweep.Declared.Count)).Select(_ => Unknown(cells.Count))];
    private readonly double[][] perRow = [.. sweep.Declared.Select(_ => new double[(long)cells.Count * plan.RowCount])];
    private int done;

    public TransformerModel Model => model;
    public Sweep Sweep => sweep;
    public CheckedPlan Plan => plan;
    public SweepCells Cells => cells;
    public ExecutionOptions Options => options;
    public SweepMetric Metric { get; } = new(sweep);

    /// <summary>Cells whose number is known, and cells in all.</summary>
    public (int Done, int Total) Progress => (done, cells.Count);

    /// <summary>The values that are put in, per layer, [rows, ...] in the site's own axes.</summary>
    public Dictionary<int, Tensor> Replacements { get; } = [];

    /// <summary>Positions at which source and base have the same tokens in all rows, and see the same.</summary>
    public int SharedPrefix { get; set; }

    /// <summary>Stores what a metric is in a cell.</summary>
    /// <param name="metric">Its place among the declared ones. A cell is done with the last.</param>
    public void Set(SweepCell cell, int metric, ReadOnlySpan<double> rows)
    {
        double sum = 0;
        foreach (var value in rows) sum += value;
        values[metric][cell.Index] = sum / rows.Length;
        rows.CopyTo(perRow[metric].AsSpan(checked(cell.Index * plan.RowCount), plan.RowCount));
        if (metric == perRow.Length - 1) done++;
    }

    /// <summary>Stores what a metric that is not declared is in a cell.</summary>
    public void Set(SweepCell cell, double value)
    {
        values[0][cell.Index] = value;
        done++;
    }

    /// <summary>What is known of a metric; NaN in cells that are yet to come.</summary>
    public IReadOnlyList<double> Known(int metric) => values[metric];

    public SweepResult Finish() => new()
    {
        Metrics = [.. values.Select((all, m) => new SweepValues { Values = all, PerRow = perRow.Length > 0 ? perRow[m] : null, Baseline = Metric.Baseline[m] })],
        Shape = [.. cells.Indices.Select(i => i.Length)],
        Axes = sweep.Grid.Axes,
        Indices = cells.Indices,
    };

    public void Dispose()
    {
        Metric.Dispose();
        foreach (var tensor in Replacements.Values) tensor.Dispose();
    }

    private static double[] Unknown(int count)
    {
        var values = new double[count];
        Array.Fill(values, double.NaN);
        return values;
    }
}
