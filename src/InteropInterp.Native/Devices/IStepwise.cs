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

/// <summary>Work that knows how far it has come.</summary>
public interface IHasProgress
{
    /// <summary>Parts done, and parts in all; (0, 0) as long as that is not known.</summary>
    (int Done, int Total) Progress { get; }
}

/// <summary>Work made of other work.</summary>
public static class Stepwise
{
    /// <summary>Work of one step.</summary>
    public static IStepwise<TResult> Once<TResult>(Func<TResult> step) => new Single<TResult>(step);

    /// <summary>Work that a first step prepares.</summary>
    /// <param name="prepare">Makes something that the work needs, disposed with the work.</param>
    public static IStepwise<TResult> After<TPrepared, TResult>(Func<TPrepared> prepare, Func<TPrepared, IStepwise<TResult>> start)
        where TPrepared : IDisposable => new Prepared<TPrepared, TResult>(prepare, start);

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

    private sealed class Prepared<TPrepared, TResult>(Func<TPrepared> prepare, Func<TPrepared, IStepwise<TResult>> start)
        : IStepwise<TResult>, IHasProgress
        where TPrepared : IDisposable
    {
        private TPrepared? prepared;
        private IStepwise<TResult>? work;

        public (int Done, int Total) Progress => (work as IHasProgress)?.Progress ?? default;

        public bool Advance()
        {
            if (work is not null) return work.Advance();
            prepared = prepare();
            work = start(prepared);
            return true;
        }

        public TResult TakeResult() => work is null ? throw new InvalidOperationException("The work has steps left.") : work.TakeResult();

        public void Dispose()
        {
            work?.Dispose();
            prepared?.Dispose();
        }
    }

    private sealed class Finished<TSource, TResult>(IStepwise<TSource> work, Func<TSource, TResult> finish)
        : IStepwise<TResult>, IHasProgress
    {
        private TResult? result;
        private bool isDone;

        public (int Done, int Total) Progress => (work as IHasProgress)?.Progress ?? default;

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
