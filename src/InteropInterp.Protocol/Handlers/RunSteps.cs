using InteropInterp.Native.Devices;
using InteropInterp.Patching;
using InteropInterp.Plans.Execution;

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
internal sealed class ObservedSweep(SweepExecution sweep, IRunObserver? observer, Func<SweepQuestion, double>? metric) : IStepwise<SweepResult>
{
    private int told = -1;

    public bool Advance()
    {
        var more = sweep.Advance();
        if (sweep.Question is { } question) question.Answer(metric!(question));
        if (sweep.Progress.Done == told) return more;
        told = sweep.Progress.Done;
        observer?.Progress(told, sweep.Progress.Total);
        return more;
    }

    public SweepResult TakeResult() => sweep.TakeResult();

    public void Dispose() => sweep.Dispose();
}
