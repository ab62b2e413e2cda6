using System.Net;
using Grpc.Core;
using Grpc.Health.V1;
using Grpc.Reflection.V1Alpha;
using InteropInterp.Protocol.V1;
using InteropInterp.Server.Tests.Support;

namespace InteropInterp.Server.Tests;

public class ServerHostTests
{
    private static async Task<string> Refused(Func<ServerOptions, ServerOptions> change) =>
        (await Assert.ThrowsAsync<InterpException>(async () => await (await TestServer.Start(change)).DisposeAsync())).Reason;

    [Fact]
    public async Task It_listens_on_a_port_and_a_socket_and_says_where()
    {
        await using var server = await TestServer.Start();
        foreach (var address in new[] { server.Port, server.Socket })
        {
            using var client = server.Connect(address);
            Assert.Equal(1, (await client.Server.GetServerInfoAsync(new GetServerInfoRequest())).ProtocolRevision);
        }
        var line = server.Logs.Lines.Single(l => l.Contains("Listening on", StringComparison.Ordinal));
        Assert.Contains(server.Port, line);
        Assert.Contains(server.Socket, line);
        Assert.Contains("libtorch 2.10", line);
    }

    [Fact]
    public async Task The_socket_is_this_users_alone()
    {
        await using var server = await TestServer.Start();
        var path = server.Socket["unix://".Length..];
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(path));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(Path.GetDirectoryName(path)!));
        Assert.Equal("SOCKET_IN_USE", await Refused(o => o with { SocketPath = path }));
        Assert.Equal("ADDRESS_IN_USE", await Refused(o => o with { Port = new Uri(server.Port).Port }));
        using var open = new TemporaryFolder();
        File.SetUnixFileMode(open.Path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.OtherExecute);
        Assert.Equal("SOCKET_FOLDER_OPEN", await Refused(o => o with { SocketPath = open.File("socket") }));
        Assert.Equal("SOCKET_PATH_TOO_LONG", await Refused(o => o with { SocketPath = Path.Combine(open.Path, new string('x', 120)) }));
    }

    [Fact]
    public async Task A_socket_that_a_server_left_behind_is_cleared_away()
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("run/socket");
        Directory.CreateDirectory(folder.File("run"), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        using (var dead = new System.Net.Sockets.Socket(System.Net.Sockets.AddressFamily.Unix, System.Net.Sockets.SocketType.Stream, 0))
            dead.Bind(new System.Net.Sockets.UnixDomainSocketEndPoint(path));
        if (!File.Exists(path)) File.WriteAllText(path, "");
        await using var server = await TestServer.Start(o => o with { SocketPath = path, Port = null });
        using var client = server.Connect(server.Socket);
        await client.Server.GetServerInfoAsync(new GetServerInfoRequest());
    }

    [Fact]
    public async Task It_refuses_to_be_open_to_everybody_or_to_nobody()
    {
        Assert.Equal("TOKEN_NEEDED", await Refused(o => o with { Address = IPAddress.Any }));
        Assert.Equal("TOKEN_NEEDED", await Refused(o => o with { Address = IPAddress.Any, Token = "short" }));
        Assert.Equal("NOTHING_TO_LISTEN_ON", await Refused(o => o with { Port = null, SocketPath = null }));
        Assert.Equal("ROOT_NOT_FOUND", await Refused(o => o with { ModelRoots = ["/no/such/folder"] }));
    }

    [Fact]
    public async Task Who_does_not_bring_the_token_is_refused_at_every_kind_of_call()
    {
        await using var server = await TestServer.Start(o => o with { Token = "a token of enough letters" });
        server.MayComplain = true;
        foreach (var token in new[] { null, "", "a token of enough letterz", "a token of enough letters and more" })
        {
            using var stranger = server.Connect(token: token);
            var error = await TestClient.Error(stranger.Server.GetServerInfoAsync(new GetServerInfoRequest()));
            Assert.Equal((ErrorCode.Unauthenticated, "TOKEN_REQUIRED"), (error.Code, error.Reason));
            Assert.Equal("TOKEN_REQUIRED", (await TestClient.Error(() => stranger.Read(new ReadTensorRequest { Name = "tensors/1" }))).Reason);
            Assert.Equal("TOKEN_REQUIRED", (await TestClient.Error(() => stranger.Upload(DataType.Bool, [1], [1]))).Reason);
            Assert.Equal("TOKEN_REQUIRED", (await TestClient.Error(async () =>
            {
                using var call = stranger.Runs.CallbackSweep();
                await call.ResponseStream.MoveNext(default);
            })).Reason);
        }
        Assert.Equal(0, server.Host.SessionCount);
        using var friend = server.Connect(token: "a token of enough letters");
        await friend.Server.GetServerInfoAsync(new GetServerInfoRequest());
        // The socket's mode is its guard; health is everybody's.
        using var local = server.Connect(server.Socket);
        await local.Server.GetServerInfoAsync(new GetServerInfoRequest());
        using var anybody = server.Connect();
        await new Health.HealthClient(anybody.Invoker).CheckAsync(new HealthCheckRequest());
        Assert.All(server.Logs.Complaints, line => Assert.Contains("without a valid token", line));
    }

    [Fact]
    public async Task It_tells_its_health_and_its_methods()
    {
        await using var server = await TestServer.Start();
        using var client = server.Connect();
        foreach (var service in new[] { "", "interopinterp.v1.RunService" })
            Assert.Equal(HealthCheckResponse.Types.ServingStatus.Serving, (await new Health.HealthClient(client.Invoker).CheckAsync(new HealthCheckRequest { Service = service })).Status);
        using var call = new Grpc.Reflection.V1Alpha.ServerReflection.ServerReflectionClient(client.Invoker).ServerReflectionInfo();
        await call.RequestStream.WriteAsync(new ServerReflectionRequest { ListServices = "" });
        Assert.True(await call.ResponseStream.MoveNext(default));
        var names = call.ResponseStream.Current.ListServicesResponse.Service.Select(s => s.Name).ToList();
        foreach (var name in new[] { "Model", "Token", "Run", "Tensor", "Dictionary", "Server" }) Assert.Contains($"interopinterp.v1.{name}Service", names);
        await call.RequestStream.CompleteAsync();

        await using var silent = await TestServer.Start(o => o with { Reflection = false });
        using var curious = silent.Connect();
        using var refused = new Grpc.Reflection.V1Alpha.ServerReflection.ServerReflectionClient(curious.Invoker).ServerReflectionInfo();
        Assert.Equal(StatusCode.Unimplemented, (await Assert.ThrowsAsync<RpcException>(() => refused.ResponseStream.MoveNext(default))).StatusCode);
    }

    [Fact]
    public async Task Stopping_lets_short_calls_end_and_ends_what_keeps_sessions()
    {
        await using var server = await TestServer.Start(o => o with { Limits = o.Limits with { DrainTime = TimeSpan.FromSeconds(30) } });
        using var client = server.Connect();
        using var kept = client.Server.KeepSession(new KeepSessionRequest());
        Assert.True(await kept.ResponseStream.MoveNext(default));
        Assert.Equal(TimeSpan.FromMinutes(10), kept.ResponseStream.Current.Grace.ToTimeSpan());
        // A call whose end the test has in its hands: the server waits for answers.
        var sweep = LongSweep.Of(await client.Model(), repeat: 1);
        sweep.Sweep.Positions = new Positions { Indices = new IndexList { Values = { 0 } } };
        sweep.Sweep.Callback = new CallbackOp();
        using var call = client.Runs.CallbackSweep();
        await call.RequestStream.WriteAsync(new CallbackSweepRequest { Request = sweep });
        Assert.True(await call.ResponseStream.MoveNext(default));
        var stopping = server.Host.StopAsync();
        Assert.False(await kept.ResponseStream.MoveNext(default));
        CallbackSweepResponse last;
        do
        {
            last = call.ResponseStream.Current;
            if (last.Question is not null) await call.RequestStream.WriteAsync(new CallbackSweepRequest { Reply = new MetricReply { Value = 1 } });
        }
        while (await call.ResponseStream.MoveNext(default));
        Assert.Equal([3, 1, 4], last.Result.Shape);
        await stopping;
        Assert.Equal(ErrorCode.Unavailable, (await TestClient.Error(client.Server.GetServerInfoAsync(new GetServerInfoRequest()))).Code);
    }
}
