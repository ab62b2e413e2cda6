using System.Net;
using System.Reflection;
using InteropInterp.Protocol.Tensors;
using InteropInterp.Server.Calls;
using InteropInterp.Server.Sessions;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace InteropInterp.Server;

/// <summary>A running server. It stops on SIGTERM and Ctrl-C, or when it is disposed.</summary>
public sealed class ServerHost : IAsyncDisposable
{
    private readonly WebApplication app;

    private ServerHost(WebApplication app, IReadOnlyList<string> addresses)
    {
        (this.app, Addresses) = (app, addresses);
    }

    /// <summary>Where clients find it: "grpc://127.0.0.1:50051", "unix:///run/user/1000/interp/socket".</summary>
    public IReadOnlyList<string> Addresses { get; }

    /// <summary>Sessions that are open.</summary>
    public int SessionCount => app.Services.GetRequiredService<SessionRegistry>().Count;

    /// <summary>Tensors that clients hold.</summary>
    public int TensorCount => app.Services.GetRequiredService<TensorStore>().Count;

    /// <summary>Loads libtorch and listens.</summary>
    /// <exception cref="InterpException">NOTHING_TO_LISTEN_ON, TOKEN_NEEDED, SOCKET_*, ROOT_NOT_FOUND, ADDRESS_IN_USE.</exception>
    public static async Task<ServerHost> StartAsync(ServerOptions options, CancellationToken cancellation = default)
    {
        Check(options);
        var torch = Native.LibTorch.Load();
        SharedTensorFile.RemoveStale();
        var socket = options.SocketPath is { } path ? SocketFile.Prepare(path) : null;
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => Listen(kestrel, options, socket));
        if (options.Certificate is not null) builder.WebHost.UseKestrelHttpsConfiguration();
        builder.Services.AddEngine(options);
        var app = builder.Build();
        app.MapEngine(options);
        try
        {
            await app.StartAsync(cancellation);
        }
        catch (IOException e)
        {
            await app.DisposeAsync();
            throw new InterpException(ErrorCode.AlreadyExists, "ADDRESS_IN_USE", $"{options.Address}:{options.Port} cannot be listened on: {e.Message}", innerException: e);
        }
        if (socket is not null) SocketFile.Close(socket);
        var host = new ServerHost(app, [.. Bound(app, options), .. socket is null ? Array.Empty<string>() : [$"unix://{socket}"]]);
        var logger = app.Services.GetRequiredService<ILogger<ServerHost>>();
        app.Lifetime.ApplicationStopping.Register(() => Log.Stopping(logger, options.Limits.DrainTime.TotalSeconds));
        var version = typeof(Plans.Plan).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion;
        Log.Listening(logger, string.Join(", ", host.Addresses), version, torch.Version, torch.Origin, torch.Threads,
            string.Join(", ", options.ModelRoots.Concat(options.WritableRoots)) is { Length: > 0 } roots ? roots : "(no root)");
        return host;
    }

    /// <summary>Ends when the server has stopped.</summary>
    public Task WaitForShutdownAsync(CancellationToken cancellation = default) => app.WaitForShutdownAsync(cancellation);

    /// <summary>Takes no more calls, gives those in progress their time, and ends what is left.</summary>
    public Task StopAsync() => app.StopAsync();

    /// <summary>Stops, and lets everything go.</summary>
    public async ValueTask DisposeAsync()
    {
        await app.StopAsync();
        await app.DisposeAsync();
    }

    private static void Check(ServerOptions options)
    {
        InterpException.Require(options.Port is not null || options.SocketPath is not null, "NOTHING_TO_LISTEN_ON", "A server needs a port, a socket, or both.");
        InterpException.Require(options.Port is null || IPAddress.IsLoopback(options.Address) || options.Token is { Length: >= 16 }, "TOKEN_NEEDED",
            $"To listen on {options.Address}, which others can reach, the server needs a token of at least 16 characters that clients must send.");
    }

    private static void Listen(KestrelServerOptions kestrel, ServerOptions options, string? socket)
    {
        kestrel.AddServerHeader = false;
        var limits = kestrel.Limits;
        // Uploads may be slow, and large windows keep far clients fast.
        limits.MinRequestBodyDataRate = null;
        limits.MinResponseDataRate = null;
        limits.Http2.InitialConnectionWindowSize = 16 << 20;
        limits.Http2.InitialStreamWindowSize = 8 << 20;
        limits.Http2.MaxFrameSize = 1 << 20;
        limits.Http2.KeepAlivePingDelay = TimeSpan.FromSeconds(30);
        limits.MaxRequestBodySize = null;
        if (options.Port is { } port) kestrel.Listen(options.Address, port, Configure);
        if (socket is not null) kestrel.ListenUnixSocket(socket, Plain);

        void Configure(ListenOptions listen)
        {
            Plain(listen);
            if (options.Certificate is { } certificate) listen.UseHttps(certificate);
        }

        void Plain(ListenOptions listen)
        {
            listen.Protocols = HttpProtocols.Http2;
            listen.Use(next => connection => Until(next, connection, listen.ApplicationServices));
        }
    }

    // A connection without a named session is a session, and ends it.
    private static async Task Until(ConnectionDelegate next, ConnectionContext connection, IServiceProvider services)
    {
        // Asked for now: a connection may outlive the server's services.
        var sessions = services.GetRequiredService<SessionRegistry>();
        try
        {
            await next(connection);
        }
        finally
        {
            sessions.End(CallGate.ConnectionId(connection.ConnectionId));
        }
    }

    private static IEnumerable<string> Bound(WebApplication app, ServerOptions options)
    {
        if (options.Port is null) return [];
        var bound = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses;
        return bound.Where(a => !a.Contains("unix:", StringComparison.Ordinal)).Select(a => $"{(options.Certificate is null ? "grpc" : "grpcs")}://{new Uri(a).Authority}");
    }
}
