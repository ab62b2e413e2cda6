using InteropInterp.Protocol.Sessions;
using InteropInterp.Protocol.Tensors;

namespace InteropInterp.Protocol.Tests.Sessions;

public class HandleTableTests
{
    private sealed class Thing : IDisposable
    {
        public int Disposed { get; private set; }

        public void Dispose() => Disposed++;
    }

    private readonly HandleTable<Thing> table = new("models", "model");

    private string Reason(string name) => Assert.Throws<InterpException>(() => table.Take(name)).Reason;

    [Fact]
    public void A_thing_has_a_name_until_it_is_closed_and_the_message_tells_which_of_both()
    {
        var thing = new Thing();
        Assert.Equal("models/1", table.Add(thing));
        using (var use = table.Take("models/1")) Assert.Same(thing, use.Value);
        table.Close("models/1");
        Assert.Equal(1, thing.Disposed);
        Assert.Equal("MODEL_CLOSED", Reason("models/1"));
        Assert.Equal("MODEL_CLOSED", Assert.Throws<InterpException>(() => table.Close("models/1")).Reason);
        Assert.Equal("UNKNOWN_MODEL", Reason("models/2"));
        Assert.Equal("models/2", table.Add(new Thing()));
    }

    [Theory]
    [InlineData("models/x")]
    [InlineData("models/-1")]
    [InlineData("models/ 1")]
    [InlineData("models/1/2")]
    [InlineData("model/1")]
    [InlineData("models/99999999999999999999")]
    public void What_is_no_name_is_unknown(string name)
    {
        table.Add(new Thing());
        var error = Assert.Throws<InterpException>(() => table.Take(name));
        Assert.Equal((ErrorCode.NotFound, "UNKNOWN_MODEL"), (error.Code, error.Reason));
    }

    [Fact]
    public void No_name_at_all_is_a_missing_field() => Assert.Equal("FIELD_MISSING", Reason(""));

    [Fact]
    public void A_thing_in_use_goes_when_the_use_is_over()
    {
        var thing = new Thing();
        var name = table.Add(thing);
        var first = table.Take(name);
        var second = table.Take(name);
        table.Close(name);
        first.Dispose();
        first.Dispose();
        Assert.Equal(0, thing.Disposed);
        second.Dispose();
        Assert.Equal(1, thing.Disposed);
    }

    [Fact]
    public void A_table_that_has_ended_takes_nothing_more()
    {
        Thing first = new(), late = new();
        table.Add(first);
        table.Dispose();
        Assert.Equal(1, first.Disposed);
        Assert.Equal("SESSION_ENDED", Assert.Throws<InterpException>(() => table.Add(late)).Reason);
        Assert.Equal(1, late.Disposed);
    }

    [Fact]
    public void What_is_listed_stays_while_it_is_looked_at()
    {
        Thing[] things = [new(), new(), new()];
        foreach (var thing in things) table.Add(thing);
        var listed = table.Take(1, 5);
        Assert.Equal(["models/2", "models/3"], listed.Select(e => e.Key));
        table.Close("models/2");
        Assert.Equal(["models/3"], table.Take(1, 1).Select(e =>
        {
            e.Value.Dispose();
            return e.Key;
        }));
        Assert.Equal((things[1], 0), (listed[0].Value.Value, things[1].Disposed));
        foreach (var use in listed) use.Value.Dispose();
        Assert.Equal([0, 1, 0], things.Select(t => t.Disposed));
    }

    [Fact]
    public void A_session_has_so_many_runs_at_a_time()
    {
        using var store = new TensorStore(new TensorStoreOptions());
        var session = new Session("a", store, maxRuns: 2);
        var first = session.BeginRun();
        using (session.BeginRun()) Assert.Equal("TOO_MANY_RUNS", Assert.Throws<InterpException>(session.BeginRun).Reason);
        first.Dispose();
        first.Dispose();
        using (session.BeginRun())
        using (session.BeginRun()) Assert.Throws<InterpException>(session.BeginRun);
        session.Dispose();
        Assert.True(session.Ended.IsCancellationRequested);
        Assert.Equal("SESSION_ENDED", Assert.Throws<InterpException>(session.BeginRun).Reason);
    }
}
