using InteropInterp.Models.Forward;
using InteropInterp.Native.Operators;
using InteropInterp.Plans.Execution;
using InteropInterp.Plans.Metrics;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>From the last residual streams of some cells to their numbers, unembedding only what the metric reads.</summary>
internal sealed class SweepMetric(Sweep sweep) : IDisposable
{
    private readonly SweepInquiry inquiry = new();
    private readonly IReadOnlyList<Metric> declared = sweep.Declared;

    /// <summary>The engine computes it; else it is asked about, cell by cell.</summary>
    public bool IsDeclared => declared.Count > 0;

    /// <summary>The one position it reads (negative: from the row's end), known once the base run is measured; null: all.</summary>
    public int? ReadsPosition => IsDeclared
        ? declared.Select(m => m.ReadsPosition).Distinct().ToArray() is [var same] ? same : null
        : inquiry.ReadsLastOnly ? -1 : null;

    /// <summary>The tokens whose logits any of the metrics reads; null: all.</summary>
    public IReadOnlyList<int>? ReadsTokens { get; } = sweep.Declared is { Count: > 0 } all && all.All(m => m.ReadsTokens is not null)
        ? [.. all.SelectMany(m => m.ReadsTokens!).Distinct()]
        : null;

    /// <summary>Of the base run, per metric.</summary>
    public double[] Baseline { get; private set; } = [];

    /// <summary>[metrics][rows] of the base run; empty where none is declared.</summary>
    public double[][] BaselinePerRow { get; private set; } = [];

    /// <summary>What is to be answered before the next step; null: nothing.</summary>
    public SweepQuestion? NextQuestion() => inquiry.Next();

    /// <summary>Measures the base run.</summary>
    /// <param name="residual">[rows, pos, d_model].</param>
    public void MeasureBase(Tensor residual, ForwardPass pass, RowBatch batch)
    {
        if (IsDeclared)
        {
            BaselinePerRow = PerRow(residual, pass, batch);
            Baseline = [.. BaselinePerRow.Select(rows => rows.Average())];
            return;
        }
        inquiry.AskBase(pass.Unembed(residual), batch.Geometry.IsRectangular, value => Baseline = [value]);
    }

    /// <summary>Measures cells.</summary>
    /// <param name="residual">[cells · rows, pos, d_model]; pos is 1 where only <see cref="ReadsPosition"/> is given.</param>
    /// <param name="batch">The rows of the plan, once per cell.</param>
    public void Measure(IReadOnlyList<SweepCell> cells, Tensor residual, ForwardPass pass, RowBatch batch, SweepPart part)
    {
        var rows = batch.Geometry.Rows.Count / cells.Count;
        if (!IsDeclared)
        {
            inquiry.Ask(cells, pass.Unembed(AtRead(residual, batch)), rows, part.Set);
            return;
        }
        var perRow = PerRow(residual, pass, batch);
        for (var i = 0; i < cells.Count; i++)
            for (var m = 0; m < perRow.Length; m++) part.Set(cells[i], m, perRow[m].AsSpan(i * rows, rows));
    }

    /// <summary>A cell that changes nothing; a function is asked all the same, once per cell.</summary>
    public void MeasureUnchanged(SweepCell cell, SweepPart part)
    {
        for (var m = 0; m < declared.Count; m++) part.Set(cell, m, BaselinePerRow[m]);
        if (!IsDeclared) inquiry.AskUnchanged(value => part.Set(cell, value));
    }

    // [metrics][batch].
    private double[][] PerRow(Tensor residual, ForwardPass pass, RowBatch batch)
    {
        var logits = pass.Unembed(AtRead(residual, batch), ReadsTokens).Wide();
        var rows = batch.MetricRows with { Columns = ReadsTokens };
        return [.. declared.Select(metric =>
        {
            var seen = metric.ReadsPosition is not { } position ? logits
                : (ReadsPosition is null ? RunOutputs.At(logits, batch.Position(position)) : logits).squeeze(1);
            return metric.PerRow(seen, rows).to(ScalarType.Float64).cpu().contiguous().data<double>().ToArray();
        })];
    }

    private Tensor AtRead(Tensor residual, RowBatch batch) =>
        ReadsPosition is { } position && residual.size(1) > 1 ? RunOutputs.At(residual, batch.Position(position)) : residual;

    public void Dispose() => inquiry.Dispose();
}
