namespace InteropInterp.Native.Devices;

/// <summary>
/// Work in steps, between which the device may be lent to others and the work may be given up. A step opens and closes its own
/// scopes and modes, so that steps may run on different threads, one at a time.
/// </summary>
public interface IStepwise<out TResult> : IDisposable
{
    /// <summary>Does one step; false when nothing is left to do after it.</summary>
    bool Advance();

    /// <summary>After the last step, once; the caller owns it.</summary>
    TResult TakeResult();
}

/// <summary>Work made of other work.</summary>
public static class Stepwise
{
    /// <summary>Work of one step.</summary>
    public static IStepwise<TResult> Once<TResult>(Func<TResult> step) => new Single<TResult>(step);

    /// <summary>The same work, with what <paramref name="finish"/> makes of its result as part of the last step.</summary>
    public static IStepwise<TResult> Then<TSource, TResult>(this IStepwise<TSource> work, Func<TSource, TResult> finish) =>
        new Finished<TSource, TResult>(work, finish);

    private sealed class Single<TResult>(Func<TResult> step) : IStepwise<TResult>
    {
        private TResult? result;
        private bool isDone;

        public bool Advance()
        {
            if (isDone) return false;
            result = step();
            isDone = true;
            return false;
        }

        public TResult TakeResult() => isDone ? result! : throw new InvalidOperationException("The work has steps left.");

        public void Dispose()
        {
        }
    }

    private sealed class Finished<TSource, TResult>(IStepwise<TSource> work, Func<TSource, TResult> finish) : IStepwise<TResult>
    {
        private TResult? result;
        private bool isDone;

        public bool Advance()
        {
            if (isDone) return false;
            if (work.Advance()) return true;
            result = finish(work.TakeResult());
            isDone = true;
            return false;
        }

        public TResult TakeResult() => isDone ? result! : throw new InvalidOperationException("The work has steps left.");

        public void Dispose() => work.Dispose();
    }
}
