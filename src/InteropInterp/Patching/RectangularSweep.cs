using InteropInterp.Hooks;
using InteropInterp.Models.Forward;
using InteropInterp.Plans.Checking;
using InteropInterp.Plans.Execution;
using InteropInterp.Tokens;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>
/// A sweep in passes of whole rows from the cell's layer on: for every site, and with the base plan's own interventions in force.
/// </summary>
internal sealed class RectangularSweep : ISweepPasses
{
    // Beyond some thousand tokens a pass gains nothing and its memory leaves the cache.
    private const int TokensPerPass = 4096;

    private readonly SweepContext context;
    private readonly IEnumerator<bool> steps;
    private readonly Dictionary<int, Tensor> starts = [];

    public RectangularSweep(SweepContext context)
    {
        this.context = context;
        steps = Steps().GetEnumerator();
    }

    public bool Step() => steps.MoveNext();

    private CheckedPlan Plan => context.Plan;

    private IEnumerable<bool> Steps()
    {
        Base();
        yield return true;
        for (var layer = 0; layer < context.Cells.Indices[0].Length; layer++)
            foreach (var chunk in context.Cells.OfLayer(layer).Chunk(CellsPerPass()))
            {
                Pass(chunk);
                yield return true;
            }
    }

    private void Base()
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var batch = Batch([.. Enumerable.Range(0, Plan.RowCount)]);
        using var layout = batch.Layout(context.Model.Config, null, context.Model.Device);
        using var captures = new CaptureStore();
        var hooks = new StartRecorder(Table(batch.Geometry, captures), context.Cells.Indices[0], starts);
        var pass = new ForwardPass(context.Model, Plan.Plan.Flags, hooks, layout);
        context.Metric.MeasureBase(pass.Blocks(pass.Embed(batch.Tokens!), 0, Plan.EndLayer), pass, batch);
    }

    private void Pass(SweepCell[] chunk)
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var layer = chunk[0].Layer;
        int rows = Plan.RowCount, count = chunk.Length;
        var batch = Batch([.. Enumerable.Range(0, count).SelectMany(_ => Enumerable.Range(0, rows))]);
        using var layout = batch.Layout(context.Model.Config, null, context.Model.Device);
        using var captures = new CaptureStore();
        var point = new HookPoint(context.Sweep.Grid.Site, layer);
        var isAttention = point.Info.Axes.Contains(HookAxis.KeyPosition);
        var hooks = new SweepEdit(Table(batch.Geometry, captures), point, isAttention, chunk, rows, context.Replacements[layer]);
        var pass = new ForwardPass(context.Model, Plan.Plan.Flags, hooks, layout);
        var final = pass.Blocks(starts[layer].repeat([count, 1, 1]), layer, Plan.EndLayer);
        context.Metric.Measure(chunk, final, pass, batch, context);
    }

    private RowBatch Batch(IReadOnlyList<int> rows) => new(Plan, rows, Plan.Plan.PaddingSide == PaddingSide.Left, context.Model.Device);

    // A callback sees its own rows once per cell.
    private int CellsPerPass()
    {
        if (Plan.Plan.HasCallbacks) return 1;
        var perCell = PlanCost.Of(context.Model, Plan).WorkingBytesPerRow * Plan.RowCount;
        return (int)Math.Clamp(context.Options.BatchBudget / Math.Max(1, perCell), 1, Math.Max(1, TokensPerPass / (Plan.RowCount * Plan.Length)));
    }

    private IActivationHooks Table(BatchGeometry geometry, CaptureStore captures) => Plan.Interventions.Count == 0
        ? NoHooks.Instance
        : new HookTable(Plan, geometry, captures, new FiredCounter(Plan.Interventions), (_, _) => throw new InvalidOperationException(), null, context.Model.Device);

    public void Dispose()
    {
        steps.Dispose();
        foreach (var tensor in starts.Values) tensor.Dispose();
    }
}
