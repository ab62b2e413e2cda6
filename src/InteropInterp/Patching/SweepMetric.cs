using InteropInterp.Models.Forward;
using InteropInterp.Native.Operators;
using InteropInterp.Plans.Execution;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>From the last residual streams of some cells to their numbers, unembedding only what the metric reads.</summary>
internal sealed class SweepMetric(Sweep sweep) : IDisposable
{
    // A callable's logits of one cell: [rows, pos, vocabulary], NaN where they were not computed.
    private Tensor? canvas;
    private Tensor? baseLogits;
    private bool readsLastOnly;

    /// <summary>The one position it reads (negative: from the row's end), known after <see cref="Baseline"/>; null: all.</summary>
    public int? ReadsPosition => sweep.Metric is { } metric ? metric.ReadsPosition : readsLastOnly ? -1 : null;

    /// <summary>The metric of the base run; finds out what a callable reads.</summary>
    /// <param name="residual">[rows, pos, d_model].</param>
    public (double Mean, double[]? PerRow) Baseline(Tensor residual, ForwardPass pass, RowBatch batch)
    {
        if (sweep.Metric is not null)
        {
            var (means, perRow) = Values(residual, pass, batch, 1);
            return (means[0], perRow);
        }
        var logits = pass.Unembed(residual);
        var value = sweep.Function!(logits.clone());
        // Tried once with everything but the last position unknown: the same number means that it reads nothing else.
        canvas = Ops.Full(logits.shape, double.NaN, logits.dtype, logits.device).DetachFromDisposeScope();
        var last = logits.size(1) - 1;
        canvas.narrow(1, last, 1).copy_(logits.narrow(1, last, 1));
        readsLastOnly = batch.Geometry.IsRectangular && Same(value, canvas);
        baseLogits = (readsLastOnly ? canvas : logits).clone().DetachFromDisposeScope();
        return (value, null);
    }

    /// <summary>A callable's number for a cell that changes nothing: it is asked all the same, once per cell.</summary>
    public double Unchanged()
    {
        using var scope = NewDisposeScope();
        return sweep.Function!(baseLogits!.clone());
    }

    /// <param name="residual">[cells · rows, pos, d_model]; pos is 1 where only <see cref="ReadsPosition"/> is given.</param>
    /// <param name="batch">The rows of the plan, once per cell.</param>
    /// <returns>Mean per cell, and per cell and row where the metric is declared.</returns>
    public (double[] Mean, double[]? PerRow) Values(Tensor residual, ForwardPass pass, RowBatch batch, int cells)
    {
        var rows = batch.Geometry.Rows.Count / cells;
        if (ReadsPosition is { } position && residual.size(1) > 1) residual = RunOutputs.At(residual, batch.Position(position));
        if (sweep.Metric is not { } metric) return (ByFunction(residual, pass, cells, rows), null);
        var logits = pass.Unembed(residual);
        var perRow = metric.PerRow(metric.ReadsPosition is null ? logits : logits.squeeze(1), batch.MetricRows)
            .to(ScalarType.Float64).cpu().data<double>().ToArray();
        return ([.. Enumerable.Range(0, cells).Select(c => perRow.AsSpan(c * rows, rows).ToArray().Average())], perRow);
    }

    private double[] ByFunction(Tensor residual, ForwardPass pass, int cells, int rows)
    {
        var logits = pass.Unembed(residual);
        var values = new double[cells];
        for (var cell = 0; cell < cells; cell++)
        {
            var own = logits.narrow(0, (long)cell * rows, rows);
            if (readsLastOnly) canvas!.narrow(1, canvas.size(1) - 1, 1).copy_(own);
            values[cell] = sweep.Function!(readsLastOnly ? canvas! : own.clone());
        }
        return values;
    }

    private bool Same(double value, Tensor probe)
    {
        try
        {
            return sweep.Function!(probe) == value;
        }
        catch (Exception e) when (e is not OutOfMemoryException and not InterpException { Code: ErrorCode.Cancelled, Reason: not "CALLBACK_FAILED" })
        {
            // It looked where nothing is.
            return false;
        }
    }

    public void Dispose()
    {
        canvas?.Dispose();
        baseLogits?.Dispose();
    }
}
