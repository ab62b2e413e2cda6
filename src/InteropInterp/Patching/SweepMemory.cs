using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Plans.Checking;
using InteropInterp.Plans.Execution;

namespace InteropInterp.Patching;

/// <summary>
/// What a sweep holds at once beside the weights, from shapes alone: its runs, what is put in, its numbers, and a pass; and a tenth more,
/// by which measured sweeps exceeded that at most.
/// </summary>
internal sealed class SweepMemory
{
    private readonly TransformerModel model;
    private readonly Sweep sweep;
    private readonly SweepCells cells;
    private readonly long element;
    private readonly long held;

    /// <exception cref="InterpException">SWEEP_TOO_LARGE where not even one cell fits into the sweep's budget, or the engine's limit.</exception>
    public SweepMemory(TransformerModel model, Sweep sweep, SweepCells cells, IReadOnlyList<CheckedPlan> runs, ExecutionOptions options)
    {
        (this.model, this.sweep, this.cells) = (model, sweep, cells);
        element = model.ElementSize;
        var parts = (sweep.Source as SweepCorruptions)?.PartCount ?? 1;
        var numbers = 8L * cells.Count * parts * Math.Max(1, sweep.Declared.Count) * (2 + sweep.Base.Rows.Count);
        // Of corrupted runs one is held beside the clean one.
        held = numbers + Recorded(runs[0]) + runs.Skip(1).Select(Recorded).DefaultIfEmpty().Max() + Replaced(runs[0]) + Encoding(runs[0]);
        var pass = runs.Max(run => Math.Max(BaseBytes(run), SweepCost.Of(model, sweep.Grid, run).PerCell(run.Length) + Logits(run)));
        var needed = (held + pass) / 10 * 11;
        if (sweep.MemoryBudget is { } budget && needed > budget) throw TooLarge(needed, budget, "its budget is");
        if (options.MemoryLimit is { } limit && needed > limit) throw TooLarge(needed, limit, "the limit is");
    }

    /// <summary>The engine's options with what a pass may take of the sweep's budget.</summary>
    public ExecutionOptions Limited(ExecutionOptions options) =>
        sweep.MemoryBudget is { } budget ? options with { BatchBudget = Math.Min(options.BatchBudget, budget / 11 * 10 - held) } : options;

    /// <summary>What is kept of a run: for cells to start from it, and to take over from it.</summary>
    public SweepRecording RecordingOf(CheckedPlan run)
    {
        var layers = cells.Indices[0];
        var isPacked = PackedSweep.Supports(model.Config, sweep.Grid, run);
        var isTaken = sweep.Source is SweepCorruptions || cells.Bases.Count > 0;
        return new SweepRecording(
            isPacked ? [] : [.. RectangularSweep.Starts(layers)],
            isPacked ? [.. PackedSweep.Reads(model.Config, sweep.Grid.Site, layers).Distinct()]
                : isTaken ? [.. layers.Select(layer => new HookPoint(sweep.Grid.Site, layer))] : []);
    }

    private long Recorded(CheckedPlan run)
    {
        var recording = RecordingOf(run);
        return recording.Starts.Concat(recording.Points).Sum(point => Bytes(run, point)) + Bytes(run, new HookPoint(HookSite.ResidPost, 0));
    }

    // Of features the codes that are put in, and those that stand there.
    private long Replaced(CheckedPlan run) => cells.Indices[0].Sum(layer => cells.Bases.Count > 0
        ? 2L * element * run.RowCount * run.Length * cells.Features.Count
        : sweep.Source is SweepCorruptions ? 0 : Bytes(run, new HookPoint(sweep.Grid.Site, layer)));

    // A dictionary encodes an activation whole: what goes into its nonlinearity, what comes out, and one between.
    private long Encoding(CheckedPlan run) =>
        cells.Bases.Count == 0 ? 0 : 3L * element * run.RowCount * run.Length * cells.Bases.Values.Max(basis => basis.Count);

    // Logits of one cell, and what a metric makes of them.
    private long Logits(CheckedPlan run)
    {
        using var metric = new SweepMetric(sweep);
        return 3 * element * run.RowCount * (metric.ReadsPosition is null ? run.Length : 1) * (metric.ReadsTokens?.Count ?? model.Config.OutputVocabularySize);
    }

    private long BaseBytes(CheckedPlan run) => PlanCost.Of(model, run).WorkingBytesPerRow * run.RowCount;

    private long Bytes(CheckedPlan run, HookPoint point) =>
        run.Catalogue.Shape(point, run.RowCount, run.Length, run.Length).Aggregate(element, (bytes, size) => bytes * size);

    private static InterpException TooLarge(long needed, long most, string which) => new(ErrorCode.ResourceExhausted, "SWEEP_TOO_LARGE",
        $"The sweep needs about {needed:N0} bytes with one cell at a time; {which} {most:N0}. Sweep fewer layers, or run fewer rows.");
}
