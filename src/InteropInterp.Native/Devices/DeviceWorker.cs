namespace InteropInterp.Native.Devices;

/// <summary>
/// A device's own thread, for work that has no thread of its own to run on (server requests). Work comes in steps; the thread
/// takes one step of each item in turn, each under the device's lease, so that neither a long sweep nor an in-process caller
/// waits for more than a step.
/// </summary>
public sealed class DeviceWorker : IDisposable
{
    private readonly DeviceLease lease;
    private readonly int capacity;
    private readonly TimeSpan patience;
    private readonly Thread thread;
    private readonly Queue<Item> items = new();
    private readonly CancellationTokenSource stop = new();
    private Item? running;

    /// <param name="lease">The device's lease.</param>
    /// <param name="capacity">Items taken in at most, begun or not; one more is refused.</param>
    /// <param name="patience">How long <see cref="Dispose"/> waits for the step in progress; default 10 seconds.</param>
    public DeviceWorker(DeviceLease lease, int capacity = 64, TimeSpan? patience = null)
    {
        InterpException.Require(capacity > 0, "BAD_CAPACITY", $"A queue needs room for at least one item; got {capacity}.");
        this.lease = lease;
        this.capacity = capacity;
        this.patience = patience ?? TimeSpan.FromSeconds(10);
        thread = new Thread(Work) { IsBackground = true, Name = "device" };
        thread.Start();
    }

    private sealed class Item(Func<bool> step, Action? end, CancellationToken cancellation)
    {
        public readonly Func<bool> Step = step;
        public readonly Action? End = end;
        public readonly CancellationToken Cancellation = cancellation;
        public readonly TaskCompletionSource Done = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    /// <summary>Items taken in and not finished.</summary>
    public int Count
    {
        get
        {
            lock (items) return items.Count + (running is null ? 0 : 1);
        }
    }

    /// <summary>Queues work.</summary>
    /// <param name="step">
    /// Does one step, and says whether there are more; on this worker's thread, under the lease. No scope or mode stays open
    /// between two steps.
    /// </param>
    /// <param name="end">Called once on the worker's thread, however it ends, begun or not: what the steps hold goes here.</param>
    /// <param name="cancellation">Looked at before each step.</param>
    /// <returns>Ends with the last step, or with what a step threw, or with CANCELLED; other items go on.</returns>
    /// <exception cref="InterpException">QUEUE_FULL; WORKER_STOPPED.</exception>
    public Task Run(Func<bool> step, Action? end = null, CancellationToken cancellation = default) =>
        Enqueue(step, end, isNew: true, cancellation);

    /// <summary>Queues work; it is disposed, however it ends.</summary>
    /// <exception cref="InterpException">QUEUE_FULL; WORKER_STOPPED.</exception>
    public Task<T> Run<T>(IStepwise<T> work, CancellationToken cancellation = default) => Enqueue(work, isNew: true, cancellation);

    /// <summary>Queues part of something that was let in before: it is taken even where the queue is full.</summary>
    /// <exception cref="InterpException">WORKER_STOPPED.</exception>
    public Task<T> Continue<T>(IStepwise<T> work, CancellationToken cancellation = default) => Enqueue(work, isNew: false, cancellation);

    /// <summary>Queues work of one step that has a result.</summary>
    public async Task<T> RunOnce<T>(Func<T> step, CancellationToken cancellation = default)
    {
        var result = default(T)!;
        await Run(() =>
        {
            result = step();
            return false;
        }, null, cancellation).ConfigureAwait(false);
        return result;
    }

    /// <summary>Stops after the step in progress; what is not finished ends with CANCELLED.</summary>
    public void Dispose()
    {
        lock (items)
        {
            if (stop.IsCancellationRequested) return;
            stop.Cancel();
            Monitor.Pulse(items);
        }
        if (thread.Join(patience)) return;
        // The step in progress does not end; nobody who waits for a result should wait with it.
        lock (items)
        {
            foreach (var item in items) item.Done.TrySetException(Interrupts.Cancelled());
            running?.Done.TrySetException(Interrupts.Cancelled());
        }
    }

    private Task Enqueue(Func<bool> step, Action? end, bool isNew, CancellationToken cancellation)
    {
        var item = new Item(step, end, cancellation);
        lock (items)
        {
            if (stop.IsCancellationRequested)
                throw new InterpException(ErrorCode.Unavailable, "WORKER_STOPPED", "The device takes no more work: it is shutting down.");
            if (isNew && items.Count + (running is null ? 0 : 1) >= capacity)
                throw new InterpException(ErrorCode.ResourceExhausted, "QUEUE_FULL",
                    $"The device has {capacity} requests in hand, the most it takes. Try again later.");
            items.Enqueue(item);
            Monitor.Pulse(items);
        }
        return item.Done.Task;
    }

    private async Task<T> Enqueue<T>(IStepwise<T> work, bool isNew, CancellationToken cancellation)
    {
        var result = default(T)!;
        bool Step()
        {
            if (work.Advance()) return true;
            result = work.TakeResult();
            return false;
        }
        Task done;
        try
        {
            done = Enqueue(Step, work.Dispose, isNew, cancellation);
        }
        catch
        {
            work.Dispose();
            throw;
        }
        await done.ConfigureAwait(false);
        return result;
    }

    private void Work()
    {
        using var watch = Interrupts.Watch(CheckRunning);
        while (Next() is { } item)
        {
            var more = Step(item);
            lock (items)
            {
                running = null;
                if (more) items.Enqueue(item);
            }
        }
        while (true)
        {
            Item? item;
            lock (items)
                if (!items.TryDequeue(out item)) return;
            End(item, Interrupts.Cancelled());
        }
    }

    // Reaches also a step that waits for the lease, or that asks in the middle.
    private void CheckRunning()
    {
        if (stop.IsCancellationRequested || running?.Cancellation.IsCancellationRequested == true) throw Interrupts.Cancelled();
    }

    private Item? Next()
    {
        lock (items)
        {
            while (items.Count == 0 && !stop.IsCancellationRequested) Monitor.Wait(items);
            return running = stop.IsCancellationRequested ? null : items.Dequeue();
        }
    }

    private bool Step(Item item)
    {
        try
        {
            Interrupts.Check();
            using (lease.Acquire())
                if (item.Step()) return true;
            End(item, null);
        }
        catch (OperationCanceledException)
        {
            End(item, Interrupts.Cancelled());
        }
        catch (Exception e)
        {
            End(item, e);
        }
        return false;
    }

    private static void End(Item item, Exception? error)
    {
        try
        {
            item.End?.Invoke();
        }
        catch (Exception e)
        {
            error ??= e;
        }
        if (error is null) item.Done.TrySetResult();
        else item.Done.TrySetException(error);
    }
}
