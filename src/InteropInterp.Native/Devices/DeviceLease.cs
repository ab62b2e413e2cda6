namespace InteropInterp.Native.Devices;

/// <summary>
/// The right to compute on a device: one thread at a time, first come first served, re-entrant (a hook may call the engine).
/// Work offers it between its steps, so that a long sweep never blocks a short request.
/// </summary>
public sealed class DeviceLease
{
    private readonly Lock gate = new();
    private readonly LinkedList<Waiter> waiting = new();
    private Thread? owner;
    private int depth;

    private sealed class Waiter
    {
        public readonly ManualResetEventSlim Granted = new(false, spinCount: 0);
        public readonly Thread Thread = Thread.CurrentThread;
    }

    /// <summary>Threads in line behind the holder.</summary>
    public int Waiting
    {
        get
        {
            lock (gate) return waiting.Count;
        }
    }

    /// <summary>Whether the calling thread holds the lease.</summary>
    public bool IsHeld => owner == Thread.CurrentThread;

    /// <summary>Takes the lease, or one more level of it; dispose what is returned once, on the same thread.</summary>
    /// <exception cref="InterpException">CANCELLED while waiting.</exception>
    public Holding Acquire(CancellationToken cancellation = default)
    {
        Waiter waiter;
        lock (gate)
        {
            if (owner == Thread.CurrentThread || owner is null)
            {
                owner = Thread.CurrentThread;
                depth++;
                return new Holding(this);
            }
            waiter = new Waiter();
            waiting.AddLast(waiter);
        }
        try
        {
            Wait(waiter, cancellation);
        }
        catch
        {
            lock (gate)
            {
                // Granted in the meantime: it is ours to hand on.
                if (owner == Thread.CurrentThread) Release();
                else waiting.Remove(waiter);
            }
            throw;
        }
        return new Holding(this);
    }

    /// <summary>
    /// Between two steps: stops if the caller wants that, lets those in line go first, then takes the lease back at the same
    /// depth. Cheap when nobody waits. Nothing of a step (scopes, modes) may be open. Within a nested call the lease stays: the
    /// outer step is still running.
    /// </summary>
    /// <exception cref="InterpException">CANCELLED, with the lease still held; LEASE_NOT_HELD.</exception>
    public void Offer(CancellationToken cancellation = default)
    {
        Interrupts.Check(cancellation);
        lock (gate)
        {
            RequireOwner();
            if (depth > 1 || waiting.Count == 0) return;
            Release();
        }
        // Not interruptible: the caller's Holding expects to be released by this thread.
        using (Interrupts.Watch(null)) Acquire(CancellationToken.None);
        Interrupts.Check(cancellation);
    }

    /// <summary>Runs work on the calling thread under this lease, offered between its steps.</summary>
    /// <param name="step">Does one step, and says whether there are more.</param>
    /// <param name="cancellation">Looked at between steps.</param>
    public void Run(Func<bool> step, CancellationToken cancellation = default)
    {
        using var held = Acquire(cancellation);
        while (step()) Offer(cancellation);
    }

    /// <summary>Runs work on the calling thread under this lease, offered between its steps. The work is disposed in any case.</summary>
    /// <exception cref="InterpException">CANCELLED within a step; what a step throws.</exception>
    public TResult Run<TResult>(IStepwise<TResult> work, CancellationToken cancellation = default)
    {
        using var disposed = work;
        using var held = Acquire(cancellation);
        while (work.Advance()) Offer(cancellation);
        return work.TakeResult();
    }

    private static void Wait(Waiter waiter, CancellationToken cancellation)
    {
        try
        {
            var slice = Interrupts.IsWatched ? Interrupts.PollInterval : Timeout.Infinite;
            while (!waiter.Granted.Wait(slice, cancellation)) Interrupts.Check(cancellation);
        }
        catch (OperationCanceledException)
        {
            throw Interrupts.Cancelled();
        }
    }

    private void RequireOwner()
    {
        if (owner != Thread.CurrentThread)
            throw new InterpException(ErrorCode.Internal, "LEASE_NOT_HELD",
                "Only the thread that holds a device's lease may offer or release it.");
    }

    private void Release()
    {
        if (--depth > 0) return;
        var next = waiting.First?.Value;
        owner = next?.Thread;
        if (next is null) return;
        waiting.RemoveFirst();
        depth = 1;
        next.Granted.Set();
    }

    /// <summary>One level of a lease.</summary>
    public readonly struct Holding(DeviceLease lease) : IDisposable
    {
        /// <exception cref="InterpException">LEASE_NOT_HELD: on another thread, or once too often.</exception>
        public void Dispose()
        {
            lock (lease.gate)
            {
                lease.RequireOwner();
                lease.Release();
            }
        }
    }
}
