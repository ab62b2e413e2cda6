using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Models.Forward;
using InteropInterp.Native.Operators;
using InteropInterp.Plans.Checking;
using InteropInterp.Plans.Execution;
using InteropInterp.Tokens;
using static TorchSharp.torch;

namespace InteropInterp.Circuits;

/// <summary>From last residual streams of variants of a plan's rows to the plan's metric, unembedding only what it reads.</summary>
internal sealed class MetricReader(TransformerModel model, CheckedPlan plan)
{
    /// <summary>The metric of each row of each variant: [variants · rows].</summary>
    /// <param name="residual">[variants · rows, pos - start, d_model], row within variant.</param>
    /// <param name="start">The first position it holds; those before are the base run's.</param>
    /// <param name="baseFinal">[rows, pos, d_model].</param>
    /// <param name="freezeNorm">The final norm divides by the base run's scale.</param>
    public double[] Read(Tensor residual, int start, Tensor baseFinal, bool freezeNorm = false)
    {
        var rows = (int)baseFinal.size(0);
        var variants = (int)(residual.size(0) / rows);
        var result = new double[variants * rows];
        foreach (var chunk in Enumerable.Range(0, variants).Chunk(VariantsAtOnce(rows)))
        {
            using var scope = NewDisposeScope();
            using var mode = no_grad();
            var part = residual.narrow(0, (long)chunk[0] * rows, (long)chunk.Length * rows);
            Values(part, start, baseFinal, chunk.Length, freezeNorm).CopyTo(result, chunk[0] * rows);
        }
        return result;
    }

    private double[] Values(Tensor residual, int start, Tensor baseFinal, int variants, bool freezeNorm)
    {
        var metric = plan.Plan.Objective!.Metric!;
        var rows = Enumerable.Range(0, variants).SelectMany(_ => Enumerable.Range(0, plan.RowCount)).ToList();
        var batch = new RowBatch(plan, rows, plan.Plan.PaddingSide == PaddingSide.Left, model.Device);
        // Where a row is read before the first position that may differ, it reads the base run.
        var whole = metric.ReadsPosition is not { } position || batch.Position(position).Any(p => p < start);
        if (whole && start > 0) residual = cat([baseFinal.narrow(1, 0, start).repeat([variants, 1, 1]), residual], 1);
        if (whole) start = 0;
        var unchanged = baseFinal.narrow(1, start, baseFinal.size(1) - start);
        if (metric.ReadsPosition is { } read)
        {
            long[] at = [.. batch.Position(read).Select(p => p - start)];
            residual = RunOutputs.At(residual, at);
            unchanged = RunOutputs.At(unchanged, at[..plan.RowCount]);
        }
        IActivationHooks hooks = freezeNorm && model.Config.HasNorm
            ? new FrozenScale(HookSite.LnFinalScale, FrozenScale.Of(model, unchanged).repeat([variants, 1, 1]))
            : NoHooks.Instance;
        using var layout = batch.Layout(model.Config, null, model.Device);
        var logits = new ForwardPass(model, ModelFlags.None, hooks, layout).Unembed(residual).Wide();
        return metric.PerRow(metric.ReadsPosition is null ? logits : logits.squeeze(1), batch.MetricRows)
            .to(ScalarType.Float64).cpu().data<double>().ToArray();
    }

    // Logits are large: some hundred megabytes at a time.
    private int VariantsAtOnce(int rows)
    {
        var positions = plan.Plan.Objective!.Metric!.ReadsPosition is null ? plan.Length : 1;
        return (int)Math.Max(1, (64L << 20) / ((long)rows * positions * model.Config.OutputVocabularySize));
    }
}
