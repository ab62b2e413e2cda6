using System.Security.Cryptography;
using System.Text;
using Grpc.Core;
using Grpc.Core.Interceptors;
using InteropInterp.Protocol.Errors;
using Microsoft.Extensions.Logging;

namespace InteropInterp.Server.Security;

/// <summary>
/// Lets calls pass that bring the server's token. A unix socket is guarded by its file's mode instead, and health is everybody's.
/// </summary>
internal sealed class BearerToken(ServerOptions options, ILogger<BearerToken> logger) : Interceptor
{
    private const string Scheme = "Bearer ";
    private const string Health = "/grpc.health.v1.Health/";

    // Digests have one length, so that comparing tells nothing of the token's.
    private readonly byte[]? expected = options.Token is { } token ? Digest(token) : null;

    public override Task<TResponse> UnaryServerHandler<TRequest, TResponse>(
        TRequest request, ServerCallContext context, UnaryServerMethod<TRequest, TResponse> continuation)
    {
        Check(context);
        return continuation(request, context);
    }

    public override Task<TResponse> ClientStreamingServerHandler<TRequest, TResponse>(
        IAsyncStreamReader<TRequest> requestStream, ServerCallContext context, ClientStreamingServerMethod<TRequest, TResponse> continuation)
    {
        Check(context);
        return continuation(requestStream, context);
    }

    public override Task ServerStreamingServerHandler<TRequest, TResponse>(
        TRequest request, IServerStreamWriter<TResponse> responseStream, ServerCallContext context, ServerStreamingServerMethod<TRequest, TResponse> continuation)
    {
        Check(context);
        return continuation(request, responseStream, context);
    }

    public override Task DuplexStreamingServerHandler<TRequest, TResponse>(
        IAsyncStreamReader<TRequest> requestStream, IServerStreamWriter<TResponse> responseStream, ServerCallContext context,
        DuplexStreamingServerMethod<TRequest, TResponse> continuation)
    {
        Check(context);
        return continuation(requestStream, responseStream, context);
    }

    private void Check(ServerCallContext context)
    {
        if (expected is null || context.GetHttpContext().Connection.RemoteIpAddress is null || context.Method.StartsWith(Health, StringComparison.Ordinal)) return;
        var given = context.RequestHeaders.GetValue("authorization") ?? "";
        if (given.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase) && CryptographicOperations.FixedTimeEquals(Digest(given[Scheme.Length..]), expected)) return;
        Log.Unauthenticated(logger, context.Peer);
        throw ErrorMapping.ToRpc(new InterpException(ErrorCode.Unauthenticated, "TOKEN_REQUIRED",
            $"This server wants its token with every call, as 'authorization: Bearer ...'; {(given.Length == 0 ? "none came" : "another one came")}."));
    }

    private static byte[] Digest(string text) => SHA256.HashData(Encoding.UTF8.GetBytes(text));
}
