using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Models.Forward;
using InteropInterp.Plans.Checking;
using InteropInterp.Plans.Execution;
using InteropInterp.Tokens;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>The run that a sweep changes, done once: its activations that cells start from, attend to, or are answered from.</summary>
internal sealed class SweepBase : IDisposable
{
    private readonly BaseRecorder recorder;
    private readonly SweepMetric metric;
    private readonly Func<int, long[]> readAt;
    private readonly bool isRotary;

    /// <summary>Runs it.</summary>
    /// <param name="points">Which activations to keep.</param>
    public SweepBase(TransformerModel model, CheckedPlan plan, IEnumerable<HookPoint> points, SweepMetric metric)
    {
        recorder = new BaseRecorder(points);
        this.metric = metric;
        isRotary = model.Config.IsRotary;
        try
        {
            using var scope = NewDisposeScope();
            using var mode = no_grad();
            var batch = new RowBatch(plan, [.. Enumerable.Range(0, plan.RowCount)], plan.Plan.PaddingSide == PaddingSide.Left, model.Device);
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
            throw;
        }
    }

    /// <summary>The last residual stream [rows, pos, d_model].</summary>
    public Tensor Final { get; }

    /// <summary>[rows or 1, pos] int64.</summary>
    public Tensor Positions { get; }

    public long LongestPosition { get; }

    /// <summary>[rows, pos] booleans, false at padding; null where attention need not know.</summary>
    public Tensor? KeyMask { get; }

    /// <summary>The position of each row that the metric reads, once that is known; null where it reads all.</summary>
    public long[]? ReadPositions => metric.ReadsPosition is { } position ? readAt(position) : null;

    public Tensor this[HookSite site, int layer] => recorder[site, layer];

    /// <summary>A layer's queries as they attend: [rows, pos, heads, d_head].</summary>
    public Tensor Queries(int layer) => this[isRotary ? HookSite.RotQ : HookSite.Q, layer];

    /// <summary>A layer's keys as they are attended to: [rows, pos, key heads, d_head].</summary>
    public Tensor Keys(int layer) => this[isRotary ? HookSite.RotK : HookSite.K, layer];

    public Tensor Values(int layer) => this[HookSite.V, layer];

    public void Dispose()
    {
        recorder.Dispose();
        Final.Dispose();
        Positions.Dispose();
        KeyMask?.Dispose();
    }
}
