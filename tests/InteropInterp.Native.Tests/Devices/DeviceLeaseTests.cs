using InteropInterp.Native.Devices;

namespace InteropInterp.Native.Tests.Devices;

public class DeviceLeaseTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);
    private readonly DeviceLease lease = new();

    private Thread InLine(Action body)
    {
        var before = lease.Waiting;
        var thread = new Thread(() => body());
        thread.Start();
        Assert.True(SpinWait.SpinUntil(() => lease.Waiting == before + 1, Patience), "the thread did not get in line");
        return thread;
    }

    private static void Join(params IEnumerable<Thread> threads) =>
        Assert.All(threads, t => Assert.True(t.Join(Patience), "a thread hangs"));

    [Fact]
    public void First_come_first_served()
    {
        var order = new List<int>();
        List<Thread> threads;
        using (lease.Acquire())
        {
            threads = Enumerable.Range(0, 6).Select(i => InLine(() =>
            {
                using (lease.Acquire()) order.Add(i);
            })).ToList();
            Assert.Empty(order);
        }
        Join(threads);
        Assert.Equal([0, 1, 2, 3, 4, 5], order);
        Assert.Equal(0, lease.Waiting);
    }

    [Fact]
    public void The_holder_may_take_it_again_and_keeps_it_until_the_last_level()
    {
        var taken = false;
        Thread other;
        using (lease.Acquire())
        {
            using (lease.Acquire())
            {
                other = InLine(() =>
                {
                    using (lease.Acquire()) taken = true;
                });
                // The outer step is still running.
                lease.Offer();
                Assert.Equal(1, lease.Waiting);
            }
            Assert.True(lease.IsHeld);
            Assert.False(taken);
        }
        Assert.False(lease.IsHeld);
        Join(other);
        Assert.True(taken);
    }

    [Fact]
    public void An_offer_lets_the_line_go_first_and_takes_the_lease_back()
    {
        var log = new List<string>();
        using (lease.Acquire())
        {
            lease.Offer();
            log.Add("step 1");
            var others = new[] { "a", "b" }.Select(name => InLine(() =>
            {
                using (lease.Acquire()) log.Add(name);
            })).ToList();
            lease.Offer();
            log.Add("step 2");
            Assert.True(lease.IsHeld);
            Join(others);
        }
        Assert.Equal(["step 1", "a", "b", "step 2"], log);
    }

    [Fact]
    public void A_long_run_lets_a_short_call_in_after_one_step()
    {
        Thread? other = null;
        int step = 0, seenBy = -1;
        lease.Run(() =>
        {
            if (step == 3)
                other = InLine(() =>
                {
                    using (lease.Acquire()) seenBy = step;
                });
            return ++step < 1000;
        });
        Join(other!);
        Assert.Equal(4, seenBy);
        Assert.Equal(1000, step);
    }

    [Fact]
    public void A_run_that_is_cancelled_stops_after_its_step_and_gives_the_lease_back()
    {
        using var source = new CancellationTokenSource();
        var steps = 0;
        var error = Assert.Throws<InterpException>(() => lease.Run(() =>
        {
            if (++steps == 5) source.Cancel();
            return true;
        }, source.Token));
        Assert.Equal(("CANCELLED", 5), (error.Reason, steps));
        Assert.False(lease.IsHeld);
    }

    [Fact]
    public void Who_is_cancelled_while_waiting_leaves_the_line()
    {
        using var source = new CancellationTokenSource();
        InterpException? error = null;
        using (lease.Acquire())
        {
            var other = InLine(() => error = Assert.Throws<InterpException>(() => lease.Acquire(source.Token)));
            source.Cancel();
            Join(other);
            Assert.Equal((ErrorCode.Cancelled, "CANCELLED"), (error!.Code, error.Reason));
            Assert.Equal(0, lease.Waiting);
        }
        using (lease.Acquire()) Assert.True(lease.IsHeld);
    }

    [Fact]
    public void A_watch_is_looked_at_while_waiting()
    {
        var stop = false;
        InterpException? error = null;
        using (lease.Acquire())
        {
            var other = InLine(() =>
            {
                using var watch = Interrupts.Watch(() =>
                {
                    if (Volatile.Read(ref stop)) throw InterpException.Precondition("STOPPED", "The watch says so.");
                });
                error = Assert.Throws<InterpException>(() => lease.Acquire());
            });
            Volatile.Write(ref stop, true);
            Join(other);
        }
        Assert.Equal("STOPPED", error!.Reason);
    }

    [Fact]
    public void Only_the_holder_can_offer_or_release()
    {
        Assert.Equal("LEASE_NOT_HELD", Assert.Throws<InterpException>(() => lease.Offer()).Reason);
        var held = lease.Acquire();
        InterpException? error = null;
        var other = new Thread(() => error = Assert.Throws<InterpException>(() => held.Dispose()));
        other.Start();
        Join(other);
        Assert.Equal("LEASE_NOT_HELD", error!.Reason);
        held.Dispose();
        Assert.Throws<InterpException>(() => held.Dispose());
    }

    [Fact]
    public void Many_threads_that_take_offer_nest_and_give_up_never_overlap_and_never_hang()
    {
        int inside = 0, overlaps = 0, taken = 0, cancelled = 0;
        var threads = Enumerable.Range(0, 8).Select(seed => new Thread(() =>
        {
            var random = new Random(seed);
            for (var i = 0; i < 400; i++)
            {
                using var source = new CancellationTokenSource();
                if (random.Next(4) == 0) source.CancelAfter(TimeSpan.FromMicroseconds(random.Next(300)));
                try
                {
                    using (lease.Acquire(source.Token))
                    {
                        Interlocked.Increment(ref taken);
                        for (var step = random.Next(3); step >= 0; step--)
                        {
                            if (Interlocked.Increment(ref inside) != 1) Interlocked.Increment(ref overlaps);
                            using (lease.Acquire()) Thread.SpinWait(random.Next(200));
                            Interlocked.Decrement(ref inside);
                            lease.Offer(source.Token);
                        }
                    }
                }
                catch (InterpException e) when (e.Reason == "CANCELLED")
                {
                    Interlocked.Increment(ref cancelled);
                }
            }
        })).ToList();
        threads.ForEach(t => t.Start());
        Join(threads);
        Assert.Equal(0, overlaps);
        Assert.Equal(0, lease.Waiting);
        Assert.True(taken > 1000, $"{taken} times taken");
        Assert.True(cancelled > 0, "nothing was cancelled");
        using (lease.Acquire()) Assert.True(lease.IsHeld);
    }
}
