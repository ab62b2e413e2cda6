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
        try
        {
            (Final, Positions, KeyMask, LongestPosition, Metric) = Run(model, plan);
        }
        catch
        {
            recorder.Dispose();
            throw;
        }
    }

    private (Tensor, Tensor, Tensor?, long, double[]) Run(TransformerModel model, CheckedPlan plan)
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var batch = new RowBatch(plan, [.. Enumerable.Range(0, plan.RowCount)], plan.Plan.PaddingSide == PaddingSide.Left, model.Device);
        using var layout = batch.Layout(model.Config, null, model.Device);
        var pass = new ForwardPass(model, plan.Plan.Flags, recorder, layout);
        var final = pass.Blocks(pass.Embed(batch.Tokens!), 0, plan.EndLayer);
        var metric = new MetricReader(model, plan).Read(final, 0, final);
        Tensor Kept(Tensor x) => x.alias().DetachFromDisposeScope();
        return (Kept(final), Kept(layout.Positions), batch.AttentionMask(model.Config) is { } mask ? Kept(mask) : null, layout.LongestPosition, metric);
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
