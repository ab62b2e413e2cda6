using InteropInterp.Models;
using InteropInterp.Plans.Execution;

namespace InteropInterp.Patching;

/// <summary>The numbers of a sweep as they come, and what all of its parts have in common.</summary>
internal sealed class SweepContext
{
    private readonly double[][] values, perRow;
    private readonly List<int> fresh = [];
    private readonly SweepCorruptions? corruptions;
    private readonly double[]?[] corrupt;
    private readonly int total, rows;
    private double[]? baseline, clean;
    private int done;

    public SweepContext(TransformerModel model, Sweep sweep, SweepCells cells, ExecutionOptions options)
    {
        (Model, Sweep, Cells, Options) = (model, sweep, cells, options);
        corruptions = sweep.Source as SweepCorruptions;
        corrupt = new double[]?[corruptions?.Corruptions.Count ?? 0];
        (total, rows) = (checked(cells.Count * (corruptions?.PartCount ?? 1)), sweep.Base.Rows.Count);
        values = [.. Enumerable.Range(0, Math.Max(1, sweep.Declared.Count)).Select(_ => Unknown(total))];
        perRow = [.. sweep.Declared.Select(_ => Unknown(checked(total * rows)))];
    }

    public TransformerModel Model { get; }
    public Sweep Sweep { get; }
    public SweepCells Cells { get; }
    public ExecutionOptions Options { get; }

    /// <summary>Cells whose number is known, and cells in all.</summary>
    public (int Done, int Total) Progress => (done, total);

    /// <summary>What the metrics are where nothing is replaced.</summary>
    public void SetBaseline(double[] metrics) => baseline ??= metrics;

    /// <summary>What they are in the clean run.</summary>
    public void SetClean(double[] metrics) => clean = metrics;

    /// <summary>What they are in a corrupted run.</summary>
    public void SetCorrupt(int corruption, double[] metrics) => corrupt[corruption] = metrics;

    /// <summary>Stores what a metric is in a cell.</summary>
    /// <param name="cell">Its place in the result.</param>
    /// <param name="metric">Its place among the declared ones. A cell is done with the last.</param>
    public void Set(int cell, int metric, ReadOnlySpan<double> ofRows)
    {
        double sum = 0;
        foreach (var value in ofRows) sum += value;
        values[metric][cell] = sum / ofRows.Length;
        ofRows.CopyTo(perRow[metric].AsSpan(cell * rows, rows));
        if (metric == perRow.Length - 1) Finish(cell);
    }

    /// <summary>Stores what a metric that is not declared is in a cell.</summary>
    public void Set(int cell, double value)
    {
        values[0][cell] = value;
        Finish(cell);
    }

    /// <summary>What is known of a metric; NaN in cells that are yet to come.</summary>
    public IReadOnlyList<double> Known(int metric) => values[metric];

    /// <summary>The cells that were done since this was last asked.</summary>
    public SweepPortion TakeFresh()
    {
        int[] cells = [.. fresh];
        fresh.Clear();
        return new SweepPortion(cells, [.. values.Select((all, m) => new SweepPortionValues(
            [.. cells.Select(c => all[c])],
            perRow.Length > 0 ? [.. cells.SelectMany(c => new ArraySegment<double>(perRow[m], c * rows, rows))] : null,
            BaselineOf(m), EndsOf(m)))]);
    }

    /// <summary>The result, or as much of it as there is: NaN in cells that are yet to come.</summary>
    public SweepResult Result() => new()
    {
        Metrics = [.. values.Select((all, m) => new SweepValues
        {
            Values = [.. all], PerRow = perRow.Length > 0 ? [.. perRow[m]] : null, Baseline = BaselineOf(m), Ends = EndsOf(m),
        })],
        Shape = [.. corruptions?.Indices.Select(i => i.Length) ?? [], .. Cells.Indices.Select(i => i.Length)],
        Axes = [.. corruptions is null ? [] : SweepCorruptions.Axes, .. Sweep.Grid.Axes],
        Indices = [.. corruptions?.Indices ?? [], .. Cells.Indices],
        Corruptions = [.. corruptions?.Corruptions.Select(c => c.Name) ?? []],
        IsComplete = done == total,
    };

    private double BaselineOf(int metric) => baseline?[metric] ?? double.NaN;

    private SweepEnds? EndsOf(int metric) => corruptions is null ? null : new SweepEnds(
        clean?[metric] ?? double.NaN, [.. corrupt.Select(c => c?[metric] ?? double.NaN)], corruptions.Directions, Cells.Count);

    private void Finish(int cell)
    {
        done++;
        fresh.Add(cell);
    }

    private static double[] Unknown(int count)
    {
        var values = new double[count];
        Array.Fill(values, double.NaN);
        return values;
    }
}
