using InteropInterp.Patching;
using InteropInterp.Plans;
using static TorchSharp.torch;

namespace InteropInterp.Studies.IndirectObjects;

/// <summary>
/// Which heads move the answer of an <see cref="IndirectObjectTask"/>: each head's output z, at all positions, is taken from the
/// clean run into the corrupted one, and what it gives back of the logit difference is its share (TransformerLens's
/// get_act_patch_attn_head_out_all_pos).
/// </summary>
public static class IndirectObjectStudy
{
    /// <param name="layers">Whose heads; null: all layers'.</param>
    /// <exception cref="InterpException">TASK_NOT_SOLVED where the clean prompts give no larger logit difference than the corrupted
    /// ones, so that there is nothing to restore; CANCELLED between two passes.</exception>
    public static IndirectObjectResult Run(
        HookedTransformer model, IndirectObjectTask task, Positions? layers = null, Action<StudyProgress>? progress = null,
        CancellationToken cancellation = default)
    {
        var clean = PerRow(model, task.Clean, task, cancellation);
        var corrupt = PerRow(model, task.Corrupt, task, cancellation);
        double right = clean.Average(), wrong = corrupt.Average();
        if (!(right > wrong))
            throw InterpException.Precondition("TASK_NOT_SOLVED",
                $"The clean prompts have a mean logit difference of {right:F3}, the corrupted ones {wrong:F3}: nothing is to be restored.");
        var sweep = model.Sweep(new Sweep
        {
            Base = new Plan { Rows = task.Corrupt },
            Source = new SweepFromRun(new Plan { Rows = task.Clean }),
            Grid = SweepGrid.Of("attn_head_out_all_pos"),
            Layers = layers ?? Positions.All,
            Metric = task.Metric,
            Progress = (done, total) => progress?.Invoke(new StudyProgress("patching each head", done, total)),
        }, cancellation);
        return new IndirectObjectResult
        {
            Layers = sweep.Indices[0],
            Heads = model.Config.HeadCount,
            CleanByPrompt = clean,
            CorruptByPrompt = corrupt,
            Restored = [.. sweep.Values.Select(value => (value - wrong) / (right - wrong))],
        };
    }

    private static double[] PerRow(
        HookedTransformer model, IReadOnlyList<Row> rows, IndirectObjectTask task, CancellationToken cancellation)
    {
        using var run = model.Run(new Plan { Rows = rows, Objective = new Objective { Metric = task.Metric } }, cancellation);
        using var scope = NewDisposeScope();
        return run.Metric!.to(ScalarType.Float64).cpu().data<double>().ToArray();
    }
}
