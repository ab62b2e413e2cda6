using InteropInterp.Models.Forward;
using InteropInterp.Plans.Execution;
using InteropInterp.Plans.Metrics;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>From the last residual streams of some cells to their numbers, unembedding only what a declared metric reads.</summary>
internal static class SweepMetric
{
    /// <param name="residual">[cells · rows, pos, d_model].</param>
    /// <param name="batch">The rows of the plan, once per cell.</param>
    /// <returns>Mean per cell, and per cell and row.</returns>
    public static (double[] Mean, double[] PerRow) Values(Metric metric, Tensor residual, ForwardPass pass, RowBatch batch, int cells)
    {
        var rows = batch.Geometry.Rows.Count / cells;
        var logits = metric.ReadsPosition is { } position
            ? pass.Unembed(RunOutputs.At(residual, batch.Position(position))).squeeze(1)
            : pass.Unembed(residual);
        var perRow = metric.PerRow(logits, batch.MetricRows).to(ScalarType.Float64).cpu().data<double>().ToArray();
        return ([.. Enumerable.Range(0, cells).Select(c => perRow.AsSpan(c * rows, rows).ToArray().Average())], perRow);
    }
}
