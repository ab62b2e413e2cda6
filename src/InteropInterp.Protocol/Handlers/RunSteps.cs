using InteropInterp.Native.Devices;
using InteropInterp.Patching;
using InteropInterp.Plans.Execution;
using InteropInterp.Protocol.Mapping;

namespace InteropInterp.Protocol.Handlers;

/// <summary>A run whose observer is told after every step.</summary>
internal sealed class ObservedRun(PlanExecution run, IRunObserver observer) : IStepwise<RunResult>
{
    public bool Advance()
    {
        var more = run.Advance();
        if (run.NewTokens is var (firstRow, tokens)) observer.NewTokens(firstRow, tokens);
        if (more) observer.Progress(run.StepsDone, run.StepCount);
        return more;
    }

    public RunResult TakeResult() => run.TakeResult();

    public void Dispose() => run.Dispose();
}

/// <summary>A sweep whose observer is told after every pass, and whose questions are answered in the same step, where they come up.</summary>
internal sealed class ObservedSweep(SweepExecution sweep, SweepReporter reporter, Func<SweepQuestion, double>? metric) : IStepwise<SweepResult>
{
    public bool Advance()
    {
        var more = sweep.Advance();
        if (sweep.Question is { } question) question.Answer(metric!(question));
        reporter.Tell();
        return more;
    }

    public SweepResult TakeResult() => sweep.TakeResult();

    public void Dispose() => sweep.Dispose();
}

/// <summary>Tells an observer how far a sweep has come, and what has become known.</summary>
internal sealed class SweepReporter(SweepExecution sweep, IRunObserver? observer, bool withNumbers)
{
    private int told = -1;

    public void Tell()
    {
        if (observer is null || sweep.Progress.Done == told) return;
        var isFirst = told < 0;
        told = sweep.Progress.Done;
        if (withNumbers) observer.Portion(SweepMapping.ToProto(sweep.TakeFresh(), isFirst ? sweep.Partial() : null));
        observer.Progress(told, sweep.Progress.Total);
    }
}

/// <summary>Work whose observer is told after every step how far it has come.</summary>
internal sealed class ObservedWork<TResult>(IStepwise<TResult> work, IRunObserver observer) : IStepwise<TResult>
{
    private (int Done, int Total) told;

    public bool Advance()
    {
        var more = work.Advance();
        if (work is IHasProgress { Progress: var now } && now != told)
        {
            told = now;
            observer.Progress(now.Done, now.Total);
        }
        return more;
    }

    public TResult TakeResult() => work.TakeResult();

    public void Dispose() => work.Dispose();
}
