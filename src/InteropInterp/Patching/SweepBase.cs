using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Models.Forward;
using InteropInterp.Plans.Checking;
using InteropInterp.Plans.Execution;
using InteropInterp.Tokens;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>
/// A run that a sweep changes or takes values from, done once: its metric, and its activations that cells start from, attend to, or
/// are answered from.
/// </summary>
internal sealed class SweepBase : IDisposable
{
    private readonly BaseRecorder recorder;
    private readonly Func<int, long[]> readAt;
    private readonly bool isRotary;

    /// <summary>Runs it. The metric is the base's from then on.</summary>
    public SweepBase(TransformerModel model, CheckedPlan plan, SweepRecording recording, SweepMetric metric)
    {
        (Plan, Metric, isRotary) = (plan, metric, model.Config.IsRotary);
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var batch = new RowBatch(plan, [.. Enumerable.Range(0, plan.RowCount)], plan.Plan.PaddingSide == PaddingSide.Left, model.Device);
        using var captures = new CaptureStore();
        recorder = new BaseRecorder(Table(model, plan, batch.Geometry, captures), recording);
        try
        {
            using var layout = batch.Layout(model.Config, null, model.Device);
            var pass = new ForwardPass(model, plan.Plan.Flags, recorder, layout);
            var final = pass.Blocks(pass.Embed(batch.Tokens!), 0, plan.EndLayer);
            readAt = batch.Position;
            metric.MeasureBase(final, pass, batch);
            Final = final.alias().DetachFromDisposeScope();
            Positions = layout.Positions.alias().DetachFromDisposeScope();
            KeyMask = batch.AttentionMask(model.Config)?.alias().DetachFromDisposeScope();
            LongestPosition = layout.LongestPosition;
        }
        catch
        {
            // Stopped half way: nobody holds this yet who could dispose it.
            recorder.Dispose();
            metric.Dispose();
            throw;
        }
    }

    public CheckedPlan Plan { get; }

    public SweepMetric Metric { get; }

    /// <summary>The last residual stream [rows, pos, d_model].</summary>
    public Tensor Final { get; }

    /// <summary>[rows or 1, pos] int64.</summary>
    public Tensor Positions { get; }

    public long LongestPosition { get; }

    /// <summary>[rows, pos] booleans, false at padding; null where attention need not know.</summary>
    public Tensor? KeyMask { get; }

    /// <summary>The position of each row that the metric reads, once that is known; null where it reads all.</summary>
    public long[]? ReadPositions => Metric.ReadsPosition is { } position ? readAt(position) : null;

    public Tensor this[HookSite site, int layer] => recorder[site, layer];

    /// <summary>The residual stream as it enters a layer, before any edit there.</summary>
    public Tensor Start(int layer) => recorder.Entering(HookSite.ResidPre, layer);

    /// <summary>A layer's queries as they attend: [rows, pos, heads, d_head].</summary>
    public Tensor Queries(int layer) => this[isRotary ? HookSite.RotQ : HookSite.Q, layer];

    /// <summary>A layer's keys as they are attended to: [rows, pos, key heads, d_head].</summary>
    public Tensor Keys(int layer) => this[isRotary ? HookSite.RotK : HookSite.K, layer];

    public Tensor Values(int layer) => this[HookSite.V, layer];

    /// <summary>The plan's own interventions, for a pass over some of its rows.</summary>
    public static IActivationHooks Table(TransformerModel model, CheckedPlan plan, BatchGeometry geometry, CaptureStore captures) =>
        plan.Interventions.Count == 0
            ? NoHooks.Instance
            : new HookTable(plan, geometry, captures, new FiredCounter(plan.Interventions), (_, _) => throw new InvalidOperationException(), null, model.Device);

    public void Dispose()
    {
        recorder.Dispose();
        Metric.Dispose();
        Final.Dispose();
        Positions.Dispose();
        KeyMask?.Dispose();
    }
}
