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
        public readonly ManualResetEventSlim Granted = new();
        public required Thread Thread { get; init; }
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

    /// <summary>Takes the lease, or one more level of it; dispose what is returned on the same thread.</summary>
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
            waiter = new Waiter { Thread = Thread.CurrentThread };
            waiting.AddLast(waiter);
        }
        try
        {
            waiter.Granted.Wait(cancellation);
        }
        catch (OperationCanceledException)
        {
            lock (gate)
            {
                // Granted in the meantime: it is ours to hand on.
                if (owner == Thread.CurrentThread) Release();
                else waiting.Remove(waiter);
            }
            throw Cancelled();
        }
        return new Holding(this);
    }

    /// <summary>
    /// Between two steps: lets those in line go first, then takes the lease back at the same depth. Cheap when nobody waits.
    /// Nothing of a step (scopes, modes) may be open. Within a nested call it does nothing: the outer step is still running.
    /// </summary>
    public void Offer(CancellationToken cancellation = default)
    {
        if (cancellation.IsCancellationRequested) throw Cancelled();
        lock (gate)
        {
            if (owner != Thread.CurrentThread) throw new InvalidOperationException("Offer is for the thread that holds the lease.");
            if (depth > 1 || waiting.Count == 0) return;
            Release();
        }
        // Back into line. Not cancellable: the caller's Holding expects to be released by this thread.
        Acquire(CancellationToken.None);
        if (cancellation.IsCancellationRequested) throw Cancelled();
    }

    private void Release()
    {
        if (--depth > 0) return;
        var next = waiting.First;
        if (next is null)
        {
            owner = null;
            return;
        }
        waiting.RemoveFirst();
        owner = next.Value.Thread;
        depth = 1;
        next.Value.Granted.Set();
    }

    private static InterpException Cancelled() => new(ErrorCode.Cancelled, "CANCELLED", "The call was cancelled.");

    /// <summary>One level of a lease.</summary>
    public readonly struct Holding(DeviceLease lease) : IDisposable
    {
        public void Dispose()
        {
            lock (lease.gate) lease.Release();
        }
    }
}
