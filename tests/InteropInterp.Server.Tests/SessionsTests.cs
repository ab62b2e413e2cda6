using InteropInterp.Protocol.Tensors;
using InteropInterp.Protocol.V1;
using InteropInterp.Server.Sessions;
using InteropInterp.Server.Tests.Support;
using Microsoft.Extensions.Logging.Abstractions;
using static InteropInterp.Server.Tests.Support.TestClient;

namespace InteropInterp.Server.Tests;

public class SessionsTests
{
    [Fact]
    public async Task Clients_do_not_see_each_others_things()
    {
        await using var server = await TestServer.Start();
        using var mine = server.Connect();
        using var theirs = server.Connect();
        var tensor = await mine.Upload(DataType.Bool, [1], [1]);
        var model = await mine.Model();
        Assert.Equal("UNKNOWN_TENSOR", (await Error(theirs.Tensors.GetTensorAsync(new GetTensorRequest { Name = tensor.Name }))).Reason);
        Assert.Equal("UNKNOWN_TENSOR", (await Error(() => theirs.Read(new ReadTensorRequest { Name = tensor.Name }))).Reason);
        Assert.Equal("UNKNOWN_TENSOR", (await Error(theirs.Tensors.MapTensorAsync(new MapTensorRequest { Name = tensor.Name }))).Reason);
        Assert.Equal("UNKNOWN_MODEL", (await Error(theirs.Models.GetModelAsync(new GetModelRequest { Name = model }))).Reason);
        await theirs.Tensors.DeleteTensorsAsync(new DeleteTensorsRequest { Names = { tensor.Name } });
        await mine.Tensors.GetTensorAsync(new GetTensorRequest { Name = tensor.Name });
    }

    [Fact]
    public async Task A_named_session_is_the_same_over_any_connection()
    {
        await using var server = await TestServer.Start();
        var id = Guid.NewGuid().ToString("N");
        using var first = server.Connect(server.Port, id);
        using var second = server.Connect(server.Socket, id);
        var tensor = await first.Upload(DataType.Bool, [1], [1]);
        first.Dispose();
        await second.Tensors.GetTensorAsync(new GetTensorRequest { Name = tensor.Name });
        Assert.Equal(1, server.Host.SessionCount);
        await second.Server.EndSessionAsync(new EndSessionRequest());
        Assert.Equal(0, server.Host.TensorCount);
    }

    [Fact]
    public async Task A_connection_without_a_name_is_a_session_of_its_own_and_ends_with_it()
    {
        await using var server = await TestServer.Start();
        using var first = server.Connect(session: null);
        using var second = server.Connect(session: null);
        var tensor = await first.Upload(DataType.Bool, [1], [1]);
        Assert.Equal("UNKNOWN_TENSOR", (await Error(second.Tensors.GetTensorAsync(new GetTensorRequest { Name = tensor.Name }))).Reason);
        first.Dispose();
        second.Dispose();
        Assert.True(SpinWait.SpinUntil(() => server.Host is { SessionCount: 0, TensorCount: 0 }, 5000));
    }

    [Theory]
    [InlineData("short")]
    [InlineData("has spaces and enough letters")]
    [InlineData("connection:0HN7ABCDEFGHIJK")]
    public async Task A_session_has_a_name_that_cannot_be_guessed(string id)
    {
        await using var server = await TestServer.Start();
        using var client = server.Connect(session: id);
        Assert.Equal("INVALID_SESSION", (await Error(client.Server.GetServerInfoAsync(new GetServerInfoRequest()))).Reason);
    }

    [Fact]
    public async Task Only_so_many_clients_are_taken()
    {
        await using var server = await TestServer.Start(o => o with { Limits = o.Limits with { Sessions = 2 } });
        for (var i = 0; i < 2; i++) await server.Connect().Server.GetServerInfoAsync(new GetServerInfoRequest());
        var error = await Error(server.Connect().Server.GetServerInfoAsync(new GetServerInfoRequest()));
        Assert.Equal((ErrorCode.ResourceExhausted, "TOO_MANY_SESSIONS"), (error.Code, error.Reason));
    }

    [Fact]
    public void A_named_session_ends_some_time_after_its_last_call_and_not_during_one()
    {
        var clock = new ManualClock();
        using var tensors = new TensorStore(new TensorStoreOptions(), clock);
        using var registry = new SessionRegistry(tensors, new ServerLimits { SessionGrace = TimeSpan.FromMinutes(10) }, clock, NullLogger<SessionRegistry>.Instance);
        var kept = registry.Enter("a", isConnection: false);
        registry.Enter("b", isConnection: false).Dispose();
        registry.Enter("c", isConnection: true).Dispose();
        clock.Now += TimeSpan.FromMinutes(9);
        registry.EndIdle();
        Assert.Equal(3, registry.Count);
        clock.Now += TimeSpan.FromMinutes(2);
        registry.EndIdle();
        Assert.Equal(2, registry.Count);
        Assert.False(kept.Session.Ended.IsCancellationRequested);
        kept.Dispose();
        clock.Now += TimeSpan.FromMinutes(11);
        registry.EndIdle();
        Assert.True(kept.Session.Ended.IsCancellationRequested);
        registry.End("c");
        registry.End("c");
        Assert.Equal(0, registry.Count);
    }
}
