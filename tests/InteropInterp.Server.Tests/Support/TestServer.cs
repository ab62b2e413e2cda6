using System.Net.Sockets;
using Grpc.Core;
using Grpc.Core.Interceptors;
using Grpc.Net.Client;
using Microsoft.Extensions.Logging;

namespace InteropInterp.Server.Tests.Support;

/// <summary>A server on a free port and a unix socket, whose end fails where it has logged what nobody expected.</summary>
internal sealed class TestServer : IAsyncDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly List<TestClient> clients = [];

    private TestServer()
    {
        Models = Directory.CreateDirectory(folder.File("models")).FullName;
        Writable = Directory.CreateDirectory(folder.File("writable")).FullName;
    }

    public ServerHost Host { get; private set; } = null!;
    public Logs Logs { get; } = new();

    /// <summary>The folder of models, and the one that may be written to.</summary>
    public string Models { get; }

    public string Writable { get; }

    /// <summary>The test expects warnings or errors in the log, and looks at them itself.</summary>
    public bool MayComplain { get; set; }

    public string Port => Host.Addresses.Single(a => a.StartsWith("grpc://", StringComparison.Ordinal));
    public string Socket => Host.Addresses.Single(a => a.StartsWith("unix://", StringComparison.Ordinal));

    public static async Task<TestServer> Start(Func<ServerOptions, ServerOptions>? change = null)
    {
        var server = new TestServer();
        var options = new ServerOptions
        {
            Port = 0, SocketPath = server.folder.File("run/socket"), ModelRoots = [server.Models], WritableRoots = [server.Writable], UseHuggingFaceCache = false,
            Logging = logging => logging.ClearProviders().SetMinimumLevel(LogLevel.Debug).AddProvider(server.Logs),
        };
        try
        {
            server.Host = await ServerHost.StartAsync(change?.Invoke(options) ?? options);
        }
        catch
        {
            server.folder.Dispose();
            throw;
        }
        return server;
    }

    /// <summary>A client of the port, or of another address.</summary>
    /// <param name="session">Null: the connection is the session.</param>
    public TestClient Connect(string? address = null, string? session = "", string? token = null)
    {
        var client = new TestClient(address ?? Port, session == "" ? Guid.NewGuid().ToString("N") : session, token);
        clients.Add(client);
        return client;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var client in clients) client.Dispose();
        await Host.DisposeAsync();
        folder.Dispose();
        if (!MayComplain && Logs.Complaints.Any()) Assert.Fail($"The server complains: {string.Join('\n', Logs.Complaints)}");
    }
}
