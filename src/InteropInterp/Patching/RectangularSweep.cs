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

    private readonly SweepPart part;
    private readonly IEnumerator<bool> steps;

    public RectangularSweep(SweepPart part)
    {
        this.part = part;
        steps = Steps().GetEnumerator();
    }

    public bool Step() => steps.MoveNext();

    /// <summary>Where cells of some layers start.</summary>
    public static IEnumerable<HookPoint> Starts(IEnumerable<int> layers) => layers.Select(layer => new HookPoint(HookSite.ResidPre, layer));

    private CheckedPlan Plan => part.Plan;

    private IEnumerable<bool> Steps()
    {
        for (var layer = 0; layer < part.Cells.Indices[0].Length; layer++)
            foreach (var chunk in Running(layer).Chunk(CellsPerPass()))
            {
                Pass(chunk);
                yield return true;
            }
    }

    // Most features are active nowhere: those cells are answered from the base run.
    private IEnumerable<SweepCell> Running(int index)
    {
        var layer = part.Cells.Indices[0][index];
        if (part.FeaturesOf(layer) is null) return part.Cells.OfLayer(index);
        var skips = new CellSkips(part, layer);
        var all = part.Cells.OfLayer(index).ToLookup(skips.ChangesNothing);
        foreach (var cell in all[true]) part.Metric.MeasureUnchanged(cell, part);
        return all[false];
    }

    private void Pass(SweepCell[] chunk)
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var layer = chunk[0].Layer;
        int rows = Plan.RowCount, count = chunk.Length;
        var batch = Batch([.. Enumerable.Range(0, count).SelectMany(_ => Enumerable.Range(0, rows))]);
        using var layout = batch.Layout(part.Model.Config, null, part.Model.Device);
        using var captures = new CaptureStore();
        var hooks = new SweepEdit(SweepBase.Table(part.Model, Plan, batch.Geometry, captures), part, new HookPoint(part.Site, layer), chunk);
        var pass = new ForwardPass(part.Model, Plan.Plan.Flags, hooks, layout);
        var final = pass.Blocks(part.Base.Start(layer).repeat([count, 1, 1]), layer, Plan.EndLayer);
        part.Metric.Measure(chunk, final, pass, batch, part);
    }

    private RowBatch Batch(IReadOnlyList<int> rows) => new(Plan, rows, Plan.Plan.PaddingSide == PaddingSide.Left, part.Model.Device);

    // A callback sees its own rows once per cell.
    private int CellsPerPass()
    {
        if (Plan.Plan.HasCallbacks) return 1;
        var perCell = SweepCost.Of(part.Model, part.Grid, Plan).PerCell(Plan.Length);
        return (int)Math.Clamp(part.Options.BatchBudget / Math.Max(1, perCell), 1, Math.Max(1, TokensPerPass / (Plan.RowCount * Plan.Length)));
    }

    public void Dispose() => steps.Dispose();
}
