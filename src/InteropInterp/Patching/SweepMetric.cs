using InteropInterp.Models.Forward;
using InteropInterp.Plans.Execution;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>From the last residual streams of some cells to their numbers, unembedding only what the metric reads.</summary>
internal sealed class SweepMetric(Sweep sweep) : IDisposable
{
    private readonly SweepInquiry inquiry = new();

    /// <summary>The engine computes it; else it is asked about, cell by cell.</summary>
    public bool IsDeclared => sweep.Metric is not null;

    /// <summary>The one position it reads (negative: from the row's end), known once the base run is measured; null: all.</summary>
    public int? ReadsPosition => sweep.Metric is { } metric ? metric.ReadsPosition : inquiry.ReadsLastOnly ? -1 : null;

    /// <summary>Of the base run.</summary>
    public double Baseline { get; private set; }

    /// <summary>Of each row of the base run; null where it is not declared.</summary>
    public double[]? BaselinePerRow { get; private set; }

    /// <summary>What is to be answered before the next step; null: nothing.</summary>
    public SweepQuestion? NextQuestion() => inquiry.Next();

    /// <summary>Measures the base run.</summary>
    /// <param name="residual">[rows, pos, d_model].</param>
    public void MeasureBase(Tensor residual, ForwardPass pass, RowBatch batch)
    {
        if (IsDeclared)
        {
            (var means, BaselinePerRow) = Values(residual, pass, batch, 1);
            Baseline = means[0];
            return;
        }
        inquiry.AskBase(pass.Unembed(residual), batch.Geometry.IsRectangular, value => Baseline = value);
    }

    /// <summary>Measures cells.</summary>
    /// <param name="residual">[cells · rows, pos, d_model]; pos is 1 where only <see cref="ReadsPosition"/> is given.</param>
    /// <param name="batch">The rows of the plan, once per cell.</param>
    public void Measure(IReadOnlyList<SweepCell> cells, Tensor residual, ForwardPass pass, RowBatch batch, SweepContext context)
    {
        var rows = batch.Geometry.Rows.Count / cells.Count;
        if (!IsDeclared)
        {
            inquiry.Ask(cells, pass.Unembed(AtRead(residual, batch)), rows, (cell, value) => context.Set(cell, value, []));
            return;
        }
        var (means, perRow) = Values(residual, pass, batch, cells.Count);
        for (var i = 0; i < cells.Count; i++) context.Set(cells[i], means[i], perRow.AsSpan(i * rows, rows));
    }

    /// <summary>A cell that changes nothing; a function is asked all the same, once per cell.</summary>
    public void MeasureUnchanged(SweepCell cell, SweepContext context)
    {
        if (IsDeclared) context.Set(cell, Baseline, BaselinePerRow);
        else inquiry.AskUnchanged(value => context.Set(cell, value, []));
    }

    private (double[] Mean, double[] PerRow) Values(Tensor residual, ForwardPass pass, RowBatch batch, int cells)
    {
        var rows = batch.Geometry.Rows.Count / cells;
        var metric = sweep.Metric!;
        var logits = pass.Unembed(AtRead(residual, batch), metric.ReadsTokens);
        var perRow = metric.PerRow(metric.ReadsPosition is null ? logits : logits.squeeze(1), batch.MetricRows with { Columns = metric.ReadsTokens })
            .to(ScalarType.Float64).cpu().data<double>().ToArray();
        return ([.. Enumerable.Range(0, cells).Select(c => perRow.AsSpan(c * rows, rows).ToArray().Average())], perRow);
    }

    private Tensor AtRead(Tensor residual, RowBatch batch) =>
        ReadsPosition is { } position && residual.size(1) > 1 ? RunOutputs.At(residual, batch.Position(position)) : residual;

    public void Dispose() => inquiry.Dispose();
}
