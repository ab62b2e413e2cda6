using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Native.Devices;
using InteropInterp.Plans;
using InteropInterp.Plans.Checking;
using InteropInterp.Plans.Execution;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>
/// A sweep under way. Steps: those of the source run, then those of the passes: packed ones, or rectangular ones where the base
/// plan intervenes or the site is none that packing knows. Where the metric is not the engine's, a step ends with each question
/// about a cell.
/// </summary>
public sealed class SweepExecution : IStepwise<SweepResult>
{
    private readonly SweepContext context;
    private readonly IEnumerator<bool> steps;
    private PlanExecution? source;
    private SweepResult? result;

    internal SweepExecution(TransformerModel model, Sweep sweep, ExecutionOptions options)
    {
        var plan = SweepChecker.Check(model, sweep);
        var cells = new SweepCells(sweep, plan);
        CheckMemory(model, sweep, plan, cells, options);
        context = new SweepContext(model, sweep, plan, cells, options);
        steps = Steps().GetEnumerator();
    }

    /// <summary>Cells done, and cells in all.</summary>
    public (int Done, int Total) Progress => context.Progress;

    /// <summary>What is known of the first metric so far; NaN in cells that are yet to come.</summary>
    public IReadOnlyList<double> Known => context.Known(0);

    /// <summary>To be answered before the next step, where the sweep asks for its metric.</summary>
    public SweepQuestion? Question { get; private set; }

    /// <inheritdoc/>
    public bool Advance()
    {
        if (Question is { IsAnswered: false } asked) AskFunction(asked);
        Question = null;
        return steps.MoveNext();
    }

    /// <inheritdoc/>
    public SweepResult TakeResult() => result ?? throw new InvalidOperationException("The sweep has steps left.");

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
        if (context.Sweep.Source.Asks is { } run)
        {
            source = new PlanExecution(context.Model, PlanChecker.Check(context.Model, Capturing(run)), context.Options);
            while (source.Advance()) yield return true;
            if (context.Sweep.Source is SweepFromRun) context.SharedPrefix = SharedPrefix(context.Sweep.Base, run);
        }
        Collect();
        var packed = PackedSweep.Supports(context.Model.Config, context.Sweep);
        using var passes = packed ? (ISweepPasses)new PackedSweep(context) : new RectangularSweep(context);
        var reported = 0;
        while (passes.Step())
        {
            while (context.Metric.NextQuestion() is { } question)
            {
                Question = question;
                yield return true;
            }
            if (reported != Progress.Done) context.Sweep.Progress?.Invoke(Progress.Done, Progress.Total);
            reported = Progress.Done;
            yield return true;
        }
        result = context.Finish();
    }

    // A residual stream and a replacement per layer stay, and the numbers; a pass holds at least one cell.
    private static void CheckMemory(TransformerModel model, Sweep sweep, CheckedPlan plan, SweepCells cells, ExecutionOptions options)
    {
        if (options.MemoryLimit is not { } limit) return;
        var layers = cells.Indices[0];
        var element = model.DataType == ScalarType.Float64 ? 8L : 4L;
        var site = plan.Catalogue.Shape(new HookPoint(sweep.Grid.Site, layers[0]), plan.RowCount, plan.Length, plan.Length);
        var perLayer = ((long)plan.RowCount * plan.Length * model.Config.ModelWidth + site.Aggregate(1L, (a, b) => a * b)) * element;
        var needed = perLayer * layers.Length + 8L * cells.Count * (1 + plan.RowCount) + PlanCost.Of(model, plan).WorkingBytesPerRow * plan.RowCount;
        if (needed > limit)
            throw new InterpException(ErrorCode.ResourceExhausted, "SWEEP_TOO_LARGE",
                $"The sweep needs about {needed >> 20:N0} MiB; the limit is {limit >> 20:N0} MiB. Sweep fewer layers, or run fewer rows.");
    }

    private Plan Capturing(Plan run) => run with
    {
        Captures = [.. context.Cells.Indices[0].Select(layer => new Capture(new HookPoint(context.Sweep.Grid.Site, layer).Name))],
    };

    private void Collect()
    {
        using var scope = NewDisposeScope();
        using var finished = source?.TakeResult();
        foreach (var layer in context.Cells.Indices[0])
        {
            var point = new HookPoint(context.Sweep.Grid.Site, layer);
            var shape = context.Plan.Catalogue.Shape(point, context.Plan.RowCount, context.Plan.Length, context.Plan.Length);
            context.Replacements[layer] = context.Sweep.Source switch
            {
                SweepFromCache cache => SweepChecker.FromCache(cache, point, shape, context),
                SweepZero => zeros(shape, context.Model.DataType, context.Model.Device).DetachFromDisposeScope(),
                var made => made.Made(finished![point.Name], shape).alias().DetachFromDisposeScope(),
            };
        }
    }

    // Where two runs differ in nothing but later tokens, a causal model gives the same activations.
    private static int SharedPrefix(Plan plan, Plan run)
    {
        var same = plan.PaddingSide == run.PaddingSide && plan.Interventions.Count == 0 && run.Interventions.Count == 0
            && plan.Rows.Zip(run.Rows).All(r => r.First.Length == plan.Rows[0].Length && r.First.Mask is null && r.Second.Mask is null);
        return same ? plan.Rows.Zip(run.Rows).Min(r => r.First.Tokens.Zip(r.Second.Tokens).TakeWhile(t => t.First == t.Second).Count()) : 0;
    }

    public void Dispose()
    {
        steps.Dispose();
        source?.Dispose();
        context.Dispose();
    }
}

/// <summary>The passes of a sweep, step by step.</summary>
internal interface ISweepPasses : IDisposable
{
    bool Step();
}
