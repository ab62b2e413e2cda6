using System.Diagnostics;
using System.Net;
using Grpc.Core;
using InteropInterp.Protocol;
using InteropInterp.Protocol.Errors;
using InteropInterp.Protocol.Handlers;
using InteropInterp.Server.Sessions;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace InteropInterp.Server.Calls;

/// <summary>What every call passes: its session, what ends it early, and how errors leave the server.</summary>
internal sealed class CallGate(
    SessionRegistry sessions, ModelRoots roots, ServerOptions options, IHostApplicationLifetime lifetime, ILogger<CallGate> logger)
{
    public const string SessionHeader = "interopinterp-session";

    private const int ShortestId = 16, LongestId = 128;

    public async Task<TResponse> Run<TResponse>(ServerCallContext call, Func<HandlerContext, ValueTask<TResponse>> body)
    {
        var start = Stopwatch.GetTimestamp();
        using var timeLimit = new CancellationTokenSource();
        CancellationToken limit = default;
        try
        {
            if (lifetime.ApplicationStopping.IsCancellationRequested) throw SessionRegistry.Stopping();
            var http = call.GetHttpContext();
            using var use = Enter(call, http);
            if (options.Limits.CallDuration is { } longest) timeLimit.CancelAfter(longest);
            limit = timeLimit.Token;
            using var any = CancellationTokenSource.CreateLinkedTokenSource(call.CancellationToken, use.Session.Ended, limit);
            var response = await body(new HandlerContext(use.Session) { Cancellation = any.Token, IsLocal = IsLocal(http) });
            Log.Done(logger, call.Method, Stopwatch.GetElapsedTime(start).TotalMilliseconds);
            return response;
        }
        catch (Exception e) when (e is not RpcException)
        {
            throw ErrorMapping.ToRpc(Leaving(e, call, limit.IsCancellationRequested));
        }
    }

    private SessionRegistry.Use Enter(ServerCallContext call, HttpContext http)
    {
        if (call.RequestHeaders.GetValue(SessionHeader) is not { } id) return sessions.Enter(ConnectionId(http.Connection.Id), isConnection: true);
        InterpException.Require(id.Length is >= ShortestId and <= LongestId && id.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_'), "INVALID_SESSION",
            $"'{SessionHeader}' must be {ShortestId} to {LongestId} letters, digits, '-' or '_', made at random.");
        return sessions.Enter(id, isConnection: false);
    }

    /// <summary>The session of a connection; no client can name it.</summary>
    public static string ConnectionId(string connection) => $"connection:{connection}";

    private InterpException Leaving(Exception thrown, ServerCallContext call, bool tookTooLong)
    {
        // gRPC's word for writing to a client that is gone; the call's own token may only follow.
        if (thrown is InvalidOperationException && call.GetHttpContext().RequestAborted.IsCancellationRequested)
            thrown = new OperationCanceledException("The client ended the call.", thrown);
        var error = ErrorMapping.ToInterp(thrown);
        if (error.Code == ErrorCode.Internal) return Incident(error, call);
        if (error.Code == ErrorCode.Cancelled) error = WhyEnded(error, call, tookTooLong);
        error = roots.Hide(error);
        Log.Refused(logger, call.Method, error.Code, error.Reason, error.Text);
        return error;
    }

    private InterpException WhyEnded(InterpException error, ServerCallContext call, bool tookTooLong)
    {
        if (tookTooLong)
            return new InterpException(ErrorCode.DeadlineExceeded, "CALL_TOO_LONG", $"The call took longer than the {options.Limits.CallDuration} this server gives a call. Ask for less at a time.");
        if (call.CancellationToken.IsCancellationRequested && call.Deadline <= DateTime.UtcNow)
            return new InterpException(ErrorCode.DeadlineExceeded, "DEADLINE_EXCEEDED", "The call's deadline is over. Give it more time, or ask for less.");
        return lifetime.ApplicationStopping.IsCancellationRequested ? SessionRegistry.Stopping() : error;
    }

    // What went wrong inside is for the log alone: it may name paths.
    private InterpException Incident(InterpException error, ServerCallContext call)
    {
        var incident = Guid.NewGuid().ToString("N")[..8];
        Log.Failed(logger, error.InnerException ?? error, call.Method, incident);
        return new InterpException(ErrorCode.Internal, error.Reason, $"The server failed at this call. Its log says more under {incident}.");
    }

    private static bool IsLocal(HttpContext http) => http.Connection.RemoteIpAddress is not { } address || IPAddress.IsLoopback(address);
}
