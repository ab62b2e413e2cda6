using InteropInterp.Models;

namespace InteropInterp.Tests.Models;

public class SharedStoreTests
{
    [Fact]
    public void Those_who_ask_while_it_loads_wait_for_the_one_load_and_the_last_to_leave_releases_it()
    {
        var (loads, released) = (0, 0);
        var store = new SharedStore<string, object>(_ => Interlocked.Increment(ref released));
        var shares = new (object Value, Action Leave)[8];
        Parallel.For(0, shares.Length, i => shares[i] = store.Take("a", () =>
        {
            Interlocked.Increment(ref loads);
            Thread.Sleep(20);
            return new object();
        }));
        Assert.Equal(1, loads);
        Assert.Single(shares.Select(s => s.Value).Distinct());
        foreach (var share in shares.Skip(1)) share.Leave();
        Assert.Equal((0, 1), (released, store.Count));
        shares[0].Leave();
        Assert.Equal((1, 0), (released, store.Count));
    }

    [Fact]
    public void A_load_that_fails_is_tried_again_by_the_next()
    {
        var store = new SharedStore<string, string>(_ => { });
        Assert.Throws<InterpException>(() => store.Take("a", () => throw InterpException.DataLoss("BROKEN", "The file is broken.")));
        Assert.Equal(0, store.Count);
        Assert.Equal("whole", store.Take("a", () => "whole").Value);
    }

    [Fact]
    public async Task Where_the_first_gives_up_loading_the_second_loads_itself()
    {
        var store = new SharedStore<string, string>(_ => { });
        using var started = new ManualResetEventSlim();
        using var second = new ManualResetEventSlim();
        using var cancelled = new CancellationTokenSource();
        var first = Task.Run(() => Assert.Throws<InterpException>(() => store.Take("a", () =>
        {
            started.Set();
            second.Wait(TimeSpan.FromSeconds(5));
            Thread.Sleep(20);
            cancelled.Cancel();
            throw new InterpException(ErrorCode.Cancelled, "CANCELLED", "The load was cancelled.");
        }, cancelled.Token)));
        started.Wait(TimeSpan.FromSeconds(5));
        var waiting = Task.Run(() =>
        {
            second.Set();
            return store.Take("a", () => "loaded").Value;
        });
        await first.WaitAsync(TimeSpan.FromSeconds(10));
        Assert.Equal("loaded", await waiting.WaitAsync(TimeSpan.FromSeconds(10)));
    }
}
