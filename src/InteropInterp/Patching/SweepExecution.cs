using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Plans;
using InteropInterp.Plans.Checking;
using InteropInterp.Plans.Execution;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>
/// A sweep under way. Steps: those of the source run, then those of the passes: packed ones, or rectangular ones where the base
/// plan intervenes or the site is none that packing knows.
/// </summary>
internal sealed class SweepExecution : IDisposable
{
    private readonly SweepContext context;
    private readonly IEnumerator<bool> steps;
    private PlanExecution? source;
    private SweepResult? result;

    public SweepExecution(TransformerModel model, Sweep sweep, ExecutionOptions options)
    {
        var plan = SweepChecker.Check(model, sweep);
        context = new SweepContext(model, sweep, plan, new SweepCells(sweep, plan), options);
        steps = Steps().GetEnumerator();
    }

    public bool Step() => steps.MoveNext();

    public SweepResult Result => result ?? throw new InvalidOperationException("The sweep has steps left.");

    private IEnumerable<bool> Steps()
    {
        if (context.Sweep.Source is SweepFromRun run)
        {
            source = new PlanExecution(context.Model, PlanChecker.Check(context.Model, Capturing(run.Run)), context.Options);
            while (source.Step()) yield return true;
            context.SharedPrefix = SharedPrefix(context.Sweep.Base, run.Run);
        }
        Collect();
        var packed = PackedSweep.Supports(context.Model.Config, context.Sweep);
        using var passes = packed ? (ISweepPasses)new PackedSweep(context) : new RectangularSweep(context);
        while (passes.Step()) yield return true;
        result = context.Finish(passes.Baseline);
    }

    private Plan Capturing(Plan run) => run with
    {
        Captures = [.. context.Cells.Indices[0].Select(layer => new Capture(new HookPoint(context.Sweep.Grid.Site, layer).Name))],
    };

    private void Collect()
    {
        using var scope = NewDisposeScope();
        var finished = source?.TakeResult();
        foreach (var layer in context.Cells.Indices[0])
        {
            var point = new HookPoint(context.Sweep.Grid.Site, layer);
            var shape = context.Plan.Catalogue.Shape(point, context.Plan.RowCount, context.Plan.Length, context.Plan.Length);
            context.Replacements[layer] = context.Sweep.Source switch
            {
                SweepFromRun => finished!.Captures[point.Name],
                SweepFromCache cache => SweepChecker.FromCache(cache, point, shape, context),
                _ => zeros(shape, context.Model.DataType, context.Model.Device).DetachFromDisposeScope(),
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
    /// <summary>The metric of the base run; known after the first step.</summary>
    double Baseline { get; }

    bool Step();
}
