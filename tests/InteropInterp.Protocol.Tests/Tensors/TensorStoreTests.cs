using InteropInterp.Native.Operators;
using InteropInterp.Protocol.Sessions;
using InteropInterp.Protocol.Tensors;
using static TorchSharp.torch;

namespace InteropInterp.Protocol.Tests.Tensors;

public class TensorStoreTests
{
    private readonly ManualClock clock = new();
    private readonly TensorStore store;
    private readonly Session mine;
    private readonly Session theirs;

    public TensorStoreTests()
    {
        store = new TensorStore(new TensorStoreOptions { TimeToLive = TimeSpan.FromMinutes(5), SessionBytes = 1000, TotalBytes = 1500 }, clock);
        (mine, theirs) = (new Session("mine", store), new Session("theirs", store));
    }

    private StoredTensor Add(Session owner, int floats)
    {
        using var scope = NewDisposeScope();
        return store.Add(owner, Ops.Full([floats], 2, ScalarType.Float32));
    }

    private static string Reason(Action act) => Assert.Throws<InterpException>(act).Reason;

    [Fact]
    public void A_tensor_stays_by_its_name_after_its_scope()
    {
        var name = Add(mine, 3).Name;
        using (NewDisposeScope()) Assert.Equal(6f, store.Get(mine, name).sum().item<float>());
        var reference = store.Find(mine, name).ToRef();
        Assert.Equal((name, V1.DataType.Float32, 12L, "cpu", false), (reference.Name, reference.DataType, reference.ByteSize, reference.Device, reference.ReadOnly));
        Assert.Equal([3L], reference.Shape);
        store.Delete(mine, [name, name, "tensors/99", "nonsense"]);
        Assert.Equal(0, store.Count);
        var error = Assert.Throws<InterpException>(() => store.Get(mine, name));
        Assert.Equal((ErrorCode.NotFound, "UNKNOWN_TENSOR"), (error.Code, error.Reason));
        Assert.Contains(name, error.Message);
    }

    [Fact]
    public void Nobody_else_sees_or_deletes_it()
    {
        using var end = store;
        var name = Add(mine, 3).Name;
        Assert.Equal("UNKNOWN_TENSOR", Reason(() => store.Find(theirs, name)));
        store.Delete(theirs, [name]);
        Assert.Equal(name, store.Find(mine, name).Name);
    }

    [Fact]
    public void It_goes_when_its_time_is_over_and_a_use_begins_that_anew()
    {
        var name = Add(mine, 3).Name;
        clock.Pass(TimeSpan.FromMinutes(4));
        Assert.Equal(clock.GetUtcNow() + TimeSpan.FromMinutes(5), store.Find(mine, name).ToRef().ExpireTime.ToDateTimeOffset());
        clock.Pass(TimeSpan.FromMinutes(4));
        store.DeleteExpired();
        Assert.Equal(1, store.Count);
        store.Find(mine, name);
        clock.Pass(TimeSpan.FromMinutes(5));
        // Over, though nobody has cleared it away yet.
        Assert.Equal("UNKNOWN_TENSOR", Reason(() => store.Find(mine, name)));
        store.DeleteExpired();
        Assert.Equal(0, store.Count);
    }

    [Fact]
    public void Quotas_of_one_and_of_all_are_kept_and_what_is_over_makes_room()
    {
        using var end = store;
        Add(mine, 200);
        var error = Assert.Throws<InterpException>(() => Add(mine, 51));
        Assert.Equal((ErrorCode.ResourceExhausted, "TENSOR_QUOTA"), (error.Code, error.Reason));
        Assert.Equal("TENSOR_QUOTA", Reason(() => store.Reserve(mine, long.MaxValue)));
        Add(theirs, 170);
        Assert.Contains("for all clients", Assert.Throws<InterpException>(() => Add(theirs, 10)).Message);
        clock.Pass(TimeSpan.FromMinutes(5));
        Add(mine, 250);
        Assert.Equal(1, store.Count);
    }

    [Fact]
    public void Room_that_is_reserved_is_taken_until_it_is_given_back()
    {
        using var end = store;
        var room = store.Reserve(mine, 900);
        Assert.Equal("TENSOR_QUOTA", Reason(() => Add(mine, 50)));
        room.Dispose();
        room.Dispose();
        Add(mine, 250);
        Assert.Equal("TENSOR_QUOTA", Reason(() => Add(mine, 1)));
    }

    [Fact]
    public void An_ended_session_takes_its_tensors_along_and_gives_none_back()
    {
        using var end = store;
        Add(mine, 3);
        var kept = Add(theirs, 3);
        mine.Dispose();
        Assert.Equal(1, store.Count);
        Assert.Equal("SESSION_ENDED", Reason(() => Add(mine, 1)));
        Assert.Equal("SESSION_ENDED", Reason(() => store.Reserve(mine, 0)));
        Assert.Equal(kept.Name, store.Find(theirs, kept.Name).Name);
    }

    [Fact]
    public void What_was_got_outlives_the_release_which_may_come_twice()
    {
        using var scope = NewDisposeScope();
        var number = Add(mine, 4).Number;
        var got = store.Get(mine, number);
        store.Release(number);
        store.Release(number);
        store.Drain();
        Assert.Equal(8f, got.sum().item<float>());
    }

    [Fact]
    public void A_release_frees_by_itself_in_the_background()
    {
        var before = LiveTensors.Count;
        for (var i = 0; i < 100; i++) store.Release(Add(mine, 2).Number);
        Assert.True(SpinWait.SpinUntil(() => store.Count == 0 && LiveTensors.Count == before, 10_000));
    }

    [Fact]
    public void A_closed_store_has_freed_what_was_released_and_frees_nothing_that_is_released_later()
    {
        using var end = store;
        var kept = Add(mine, 2).Number;
        for (var i = 0; i < 100; i++) store.Release(Add(mine, 2).Number);
        store.Close();
        Assert.Equal(1, store.Count);
        store.Release(kept);
        store.Drain();
        Assert.Equal(1, store.Count);
    }

    [Fact]
    public void Getting_and_releasing_race_without_harm()
    {
        for (var round = 0; round < 100; round++)
        {
            var number = Add(mine, 8).Number;
            using var start = new Barrier(3);
            var threads = Enumerable.Range(0, 2).Select(_ => new Thread(() =>
            {
                using var scope = NewDisposeScope();
                start.SignalAndWait();
                try
                {
                    Assert.Equal(16f, store.Get(mine, number).sum().item<float>());
                }
                catch (InterpException e) when (e.Reason == "UNKNOWN_TENSOR")
                {
                }
            })).ToList();
            threads.ForEach(t => t.Start());
            start.SignalAndWait();
            store.Release(number);
            store.Drain();
            threads.ForEach(t => Assert.True(t.Join(10_000)));
        }
        Assert.True(SpinWait.SpinUntil(() => store.Count == 0, 10_000));
    }

    [Fact]
    public void A_view_of_weights_costs_nothing_and_says_that_it_is_not_to_be_written_to()
    {
        using var end = store;
        using var scope = NewDisposeScope();
        var weights = zeros(10_000);
        var view = store.Add(mine, weights.alias(), isView: true);
        Assert.True(view.ToRef().ReadOnly);
        Add(mine, 250);
    }
}
