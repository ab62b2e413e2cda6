using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using InteropInterp.Protocol.Errors;
using InteropInterp.Protocol.V1;
using InteropInterp.Server.Sessions;
using Microsoft.Extensions.Hosting;

namespace InteropInterp.Server.Calls;

/// <summary>A call that lasts as long as the client does, so that its session does too.</summary>
internal sealed class SessionStreams(CallGate gate, SessionRegistry sessions, IHostApplicationLifetime lifetime)
{
    public Task KeepSession(KeepSessionRequest request, IServerStreamWriter<KeepSessionResponse> writer, ServerCallContext call) => gate.Run(call, async context =>
    {
        UnknownFields.Refuse(request);
        await writer.WriteAsync(new KeepSessionResponse { Grace = Duration.FromTimeSpan(sessions.Grace) }, context.Cancellation);
        using var over = CancellationTokenSource.CreateLinkedTokenSource(call.CancellationToken, lifetime.ApplicationStopping, context.Session.Ended);
        // The client goes, or the server does: both are how it ends.
        await Task.Delay(Timeout.Infinite, over.Token).ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        return true;
    });
}
