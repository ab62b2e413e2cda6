using System.Diagnostics;
using InteropInterp.Native.Devices;

namespace InteropInterp.Native.Tests.Devices;

public sealed class DeviceWorkerTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);
    private readonly DeviceLease lease = new();
    private readonly DeviceWorker worker;

    public DeviceWorkerTests() => worker = new DeviceWorker(lease, capacity: 4, patience: TimeSpan.FromMilliseconds(200));

    public void Dispose() => worker.Dispose();

    private static Func<bool> Until(Func<bool> done, Action? each = null) => () =>
    {
        if (done()) return false;
        each?.Invoke();
        return true;
    };

    // Waits on this thread: a lease does not survive an await.
    private static InterpException Failure(Task task)
    {
        Assert.True(((IAsyncResult)task).AsyncWaitHandle.WaitOne(Patience), "the item does not end");
        return Assert.IsType<InterpException>(task.Exception?.InnerException);
    }

    [Fact]
    public async Task Steps_run_in_order_on_the_workers_thread_under_the_lease()
    {
        var steps = new List<(int Step, int Thread, bool Held)>();
        await worker.Run(() =>
        {
            steps.Add((steps.Count, Environment.CurrentManagedThreadId, lease.IsHeld));
            return steps.Count < 3;
        }).WaitAsync(Patience);
        Assert.Equal([0, 1, 2], steps.Select(s => s.Step));
        Assert.Single(steps.Select(s => s.Thread).Distinct());
        Assert.DoesNotContain(Environment.CurrentManagedThreadId, steps.Select(s => s.Thread));
        Assert.All(steps, s => Assert.True(s.Held));
    }

    [Fact]
    public async Task A_single_step_has_a_result() => Assert.Equal(42, await worker.RunOnce(() => 42).WaitAsync(Patience));

    [Fact]
    public async Task A_short_request_ends_while_a_long_sweep_goes_on()
    {
        var over = false;
        var sweep = worker.Run(Until(() => Volatile.Read(ref over)));
        Assert.Equal("short", await worker.RunOnce(() => "short").WaitAsync(Patience));
        Assert.False(sweep.IsCompleted);
        Volatile.Write(ref over, true);
        await sweep.WaitAsync(Patience);
    }

    [Fact]
    public async Task Items_take_turns()
    {
        var log = new List<char>();
        Func<bool> Work(char name, int steps) => () =>
        {
            log.Add(name);
            return --steps > 0;
        };
        Task a, b, c;
        using (lease.Acquire())
        {
            a = worker.Run(Work('a', 4));
            b = worker.Run(Work('b', 2));
            c = worker.Run(Work('c', 3));
        }
        await Task.WhenAll(a, b, c).WaitAsync(Patience);
        Assert.Equal("abcabcaca", new string([.. log]));
    }

    [Fact]
    public async Task A_caller_of_this_process_gets_the_lease_between_two_steps()
    {
        bool over = false, inStep = false;
        var sweep = worker.Run(Until(() => Volatile.Read(ref over), () =>
        {
            inStep = true;
            Thread.SpinWait(1000);
            inStep = false;
        }));
        for (var i = 0; i < 20; i++)
            using (lease.Acquire())
                Assert.False(Volatile.Read(ref inStep));
        Volatile.Write(ref over, true);
        await sweep.WaitAsync(Patience);
    }

    [Fact]
    public async Task An_error_ends_its_own_item_only()
    {
        var over = false;
        var other = worker.Run(Until(() => Volatile.Read(ref over)));
        var ended = false;
        var failing = worker.Run(() => throw new InvalidOperationException("boom"), () => ended = true);
        Assert.Equal("boom", (await Assert.ThrowsAsync<InvalidOperationException>(() => failing.WaitAsync(Patience))).Message);
        Assert.True(ended);
        Assert.False(other.IsCompleted);
        Volatile.Write(ref over, true);
        await other.WaitAsync(Patience);
    }

    [Fact]
    public async Task Cancellation_ends_its_own_item_only()
    {
        var over = false;
        using var source = new CancellationTokenSource();
        var ended = false;
        var other = worker.Run(Until(() => Volatile.Read(ref over)));
        var cancelled = worker.Run(Until(() => false, source.Cancel), () => ended = true, source.Token);
        var error = await Assert.ThrowsAsync<InterpException>(() => cancelled.WaitAsync(Patience));
        Assert.Equal("CANCELLED", error.Reason);
        Assert.True(ended);
        Assert.False(other.IsCompleted);
        Volatile.Write(ref over, true);
        await other.WaitAsync(Patience);
    }

    [Fact]
    public async Task Cancellation_reaches_an_item_that_waits_for_the_lease_and_a_step_that_asks()
    {
        using var source = new CancellationTokenSource();
        using (lease.Acquire())
        {
            var waiting = worker.Run(Until(() => false), null, source.Token);
            source.CancelAfter(20);
            Assert.Equal("CANCELLED", Failure(waiting).Reason);
        }
        using var second = new CancellationTokenSource();
        var asking = worker.RunOnce(() =>
        {
            second.Cancel();
            Interrupts.Check();
            return 0;
        }, second.Token);
        Assert.Equal("CANCELLED", (await Assert.ThrowsAsync<InterpException>(() => asking.WaitAsync(Patience))).Reason);
    }

    [Fact]
    public async Task A_full_queue_refuses()
    {
        var over = false;
        var items = Enumerable.Range(0, 4).Select(_ => worker.Run(Until(() => Volatile.Read(ref over)))).ToList();
        Assert.Equal(4, worker.Count);
        var error = Assert.Throws<InterpException>(() => { _ = worker.Run(Until(() => true)); });
        Assert.Equal((ErrorCode.ResourceExhausted, "QUEUE_FULL"), (error.Code, error.Reason));
        Volatile.Write(ref over, true);
        await Task.WhenAll(items).WaitAsync(Patience);
        Assert.True(SpinWait.SpinUntil(() => worker.Count == 0, Patience));
        Assert.Equal(1, await worker.RunOnce(() => 1).WaitAsync(Patience));
    }

    [Fact]
    public void Disposing_cancels_what_is_not_finished_and_refuses_more()
    {
        var ended = 0;
        var items = Enumerable.Range(0, 3).Select(_ => worker.Run(Until(() => false), () => Interlocked.Increment(ref ended))).ToList();
        worker.Dispose();
        foreach (var item in items)
            Assert.Equal("CANCELLED", Failure(item).Reason);
        Assert.Equal(3, ended);
        Assert.Equal("WORKER_STOPPED", Assert.Throws<InterpException>(() => { _ = worker.Run(Until(() => true)); }).Reason);
        worker.Dispose();
    }

    [Fact]
    public void Disposing_waits_neither_for_a_step_that_hangs_nor_for_a_lease_that_is_held()
    {
        using var go = new ManualResetEventSlim();
        using var begun = new ManualResetEventSlim();
        var hanging = worker.RunOnce(() =>
        {
            begun.Set();
            go.Wait(Patience);
            return 0;
        });
        Assert.True(begun.Wait(Patience));
        var queued = worker.Run(Until(() => false));
        var clock = Stopwatch.StartNew();
        worker.Dispose();
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(5), $"took {clock.Elapsed}");
        foreach (var item in new[] { hanging, queued })
            Assert.Equal("CANCELLED", Failure(item).Reason);
        go.Set();

        using (lease.Acquire())
        {
            using var second = new DeviceWorker(lease, patience: Patience);
            var waiting = second.Run(Until(() => false));
            Assert.True(SpinWait.SpinUntil(() => lease.Waiting == 1, Patience));
            second.Dispose();
            Assert.Equal("CANCELLED", Failure(waiting).Reason);
        }
    }
}
