using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Models.Forward;
using InteropInterp.Patching;
using InteropInterp.Plans.Checking;
using InteropInterp.Plans.Execution;
using InteropInterp.Tokens;
using static TorchSharp.torch;

namespace InteropInterp.Circuits;

/// <summary>The run that paths are patched in, done once: what stands where, and the metric of it.</summary>
internal sealed class BaseRun : IDisposable
{
    private readonly BaseRecorder recorder;
    private readonly bool isRotary;

    /// <param name="plan">Its objective is the metric.</param>
    /// <param name="points">Which activations to keep.</param>
    public BaseRun(TransformerModel model, CheckedPlan plan, IEnumerable<HookPoint> points)
    {
        recorder = new BaseRecorder(NoHooks.Instance, new SweepRecording([], points));
        isRotary = model.Config.IsRotary;
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var batch = new RowBatch(plan, [.. Enumerable.Range(0, plan.RowCount)], plan.Plan.PaddingSide == PaddingSide.Left, model.Device);
        using var layout = batch.Layout(model.Config, null, model.Device);
        var pass = new ForwardPass(model, plan.Plan.Flags, recorder, layout);
        Final = pass.Blocks(pass.Embed(batch.Tokens!), 0, plan.EndLayer).alias().DetachFromDisposeScope();
        Positions = layout.Positions.alias().DetachFromDisposeScope();
        KeyMask = batch.AttentionMask(model.Config)?.alias().DetachFromDisposeScope();
        LongestPosition = layout.LongestPosition;
        Metric = new MetricReader(model, plan).Read(Final, 0, Final);
    }

    /// <summary>The last residual stream [rows, pos, d_model].</summary>
    public Tensor Final { get; }

    /// <summary>[rows or 1, pos] int64.</summary>
    public Tensor Positions { get; }

    public long LongestPosition { get; }

    /// <summary>[rows, pos] booleans, false at padding; null where attention need not know.</summary>
    public Tensor? KeyMask { get; }

    /// <summary>Per row.</summary>
    public double[] Metric { get; }

    /// <summary>A layer's keys as they are attended to: [rows, pos, key heads, d_head].</summary>
    public Tensor Keys(int layer) => recorder[isRotary ? HookSite.RotK : HookSite.K, layer];

    /// <summary>[rows, pos, key heads, d_head].</summary>
    public Tensor Values(int layer) => recorder[HookSite.V, layer];

    public Tensor this[HookPoint point] => recorder[point.Site, point.Layer];

    public void Dispose()
    {
        recorder.Dispose();
        Final.Dispose();
        Positions.Dispose();
        KeyMask?.Dispose();
    }
}
