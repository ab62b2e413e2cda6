using InteropInterp.Models;
using InteropInterp.Native.Devices;
using InteropInterp.Plans;
using InteropInterp.Plans.Checking;
using InteropInterp.Plans.Execution;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>
/// A sweep under way. Steps: those of the source run or the corrupted runs, the base run, then those of the passes: packed ones, or
/// rectangular ones where the base plan intervenes within the blocks or the site is none that packing knows. Where the metric is not the
/// engine's, a step ends with each question about a cell.
/// </summary>
public sealed class SweepExecution : IStepwise<SweepResult>, IHasProgress
{
    private readonly SweepContext context;
    private readonly CheckedPlan plan;
    private readonly IReadOnlyList<CheckedPlan> corrupted;
    private readonly SweepMemory memory;
    private readonly IEnumerator<bool> steps;
    private bool isOver;

    internal SweepExecution(TransformerModel model, Sweep sweep, ExecutionOptions options)
    {
        plan = SweepChecker.Check(model, sweep);
        corrupted = SweepChecker.CheckCorruptions(model, sweep);
        var cells = new SweepCells(sweep, plan);
        memory = new SweepMemory(model, sweep, cells, [plan, .. corrupted], options);
        context = new SweepContext(model, sweep, cells, memory.Limited(options));
        steps = Steps().GetEnumerator();
    }

    /// <summary>Cells done, and cells in all.</summary>
    public (int Done, int Total) Progress => context.Progress;

    /// <summary>What is known of the first metric so far; NaN in cells that are yet to come.</summary>
    public IReadOnlyList<double> Known => context.Known(0);

    /// <summary>To be answered before the next step, where the sweep asks for its metric.</summary>
    public SweepQuestion? Question { get; private set; }

    /// <summary>The cells that have become known since this was last asked.</summary>
    public SweepPortion TakeFresh() => context.TakeFresh();

    /// <summary>What is known so far; NaN in cells that are yet to come. Also of a sweep that was stopped.</summary>
    public SweepResult Partial() => context.Result();

    /// <inheritdoc/>
    public bool Advance()
    {
        if (Question is { IsAnswered: false } asked) AskFunction(asked);
        Question = null;
        return steps.MoveNext();
    }

    /// <inheritdoc/>
    public SweepResult TakeResult() => isOver ? context.Result() : throw new InvalidOperationException("The sweep has steps left.");

    private void AskFunction(SweepQuestion asked)
    {
        var function = context.Sweep.Function ?? throw new InvalidOperationException("The sweep's question has no answer yet.");
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        try
        {
            asked.Answer(function(asked.Whole()));
        }
        catch (Exception e) when (asked.IsProbe && e is not OutOfMemoryException and not InterpException { Code: ErrorCode.Cancelled })
        {
            // It looked where nothing is.
            asked.Answer(double.NaN);
        }
    }

    private IEnumerable<bool> Steps()
    {
        foreach (var step in context.Sweep.Source is SweepCorruptions corruptions ? Contrast(corruptions) : Single()) yield return step;
        isOver = true;
    }

    private IEnumerable<bool> Single()
    {
        var sweep = context.Sweep;
        using var replacements = new SweepReplacements(context, plan);
        if (sweep.Source.Asks is { } run)
        {
            using var source = new PlanExecution(context.Model, PlanChecker.Check(context.Model, replacements.Capturing(run)), context.Options);
            while (source.Advance()) yield return true;
            replacements.Take(source.TakeResult());
        }
        else
        {
            replacements.Make();
        }
        using var baseRun = Base(plan);
        foreach (var step in Asked(baseRun)) yield return step;
        context.SetBaseline(baseRun.Metric.Baseline);
        var shared = sweep.Source is SweepFromRun { Run: var other } ? SharedPrefix(sweep.Base, other) : 0;
        foreach (var step in Sweep(baseRun, replacements.PerLayer, shared, 0)) yield return step;
    }

    private IEnumerable<bool> Contrast(SweepCorruptions corruptions)
    {
        using var clean = Base(plan);
        foreach (var step in Asked(clean)) yield return step;
        context.SetClean(clean.Metric.Baseline);
        for (var k = 0; k < corrupted.Count; k++)
        {
            using var corrupt = Base(corrupted[k]);
            foreach (var step in Asked(corrupt)) yield return step;
            context.SetCorrupt(k, corrupt.Metric.Baseline);
            var shared = SharedPrefix(plan.Plan, corrupted[k].Plan);
            foreach (var (direction, at) in corruptions.Each.Select((d, i) => (d, i)))
            {
                var (here, there) = direction == PatchDirections.Denoising ? (corrupt, clean) : (clean, corrupt);
                context.SetBaseline(here.Metric.Baseline);
                using var replacements = new SweepReplacements(context, there);
                foreach (var step in Sweep(here, replacements.PerLayer, shared, (at * corrupted.Count + k) * context.Cells.Count)) yield return step;
            }
        }
    }

    private SweepBase Base(CheckedPlan run) => new(context.Model, run, memory.RecordingOf(run), new SweepMetric(context.Sweep));

    private IEnumerable<bool> Asked(SweepBase baseRun)
    {
        foreach (var step in Questions(baseRun.Metric)) yield return step;
        yield return true;
    }

    private IEnumerable<bool> Sweep(SweepBase baseRun, IReadOnlyDictionary<int, Tensor> replacements, int sharedPrefix, int offset)
    {
        using var part = new SweepPart(context, baseRun, replacements, sharedPrefix, offset);
        var packed = PackedSweep.Supports(context.Model.Config, context.Sweep.Grid, baseRun.Plan);
        using var passes = packed ? (ISweepPasses)new PackedSweep(part) : new RectangularSweep(part);
        var reported = 0;
        while (passes.Step())
        {
            foreach (var step in Questions(baseRun.Metric)) yield return step;
            if (reported != Progress.Done)
            {
                context.Sweep.Progress?.Invoke(Progress.Done, Progress.Total);
                if (context.Sweep.Portions is { } told) told(TakeFresh());
            }
            reported = Progress.Done;
            yield return true;
        }
    }

    private IEnumerable<bool> Questions(SweepMetric metric)
    {
        while (metric.NextQuestion() is { } question)
        {
            Question = question;
            yield return true;
        }
    }

    // Where two runs differ in nothing but later tokens, a causal model gives the same activations.
    private static int SharedPrefix(Plan plan, Plan run)
    {
        var same = plan.PaddingSide == run.PaddingSide && plan.Interventions.Count == 0 && run.Interventions.Count == 0
            && plan.Rows.Zip(run.Rows).All(r => r.First.Length == plan.Rows[0].Length && r.First.Mask is null && r.Second.Mask is null);
        return same ? plan.Rows.Zip(run.Rows).Min(r => r.First.Tokens.Zip(r.Second.Tokens).TakeWhile(t => t.First == t.Second).Count()) : 0;
    }

    /// <summary>Lets go of everything but the numbers.</summary>
    public void Dispose() => steps.Dispose();
}

/// <summary>The passes of a sweep, step by step.</summary>
internal interface ISweepPasses : IDisposable
{
    bool Step();
}
