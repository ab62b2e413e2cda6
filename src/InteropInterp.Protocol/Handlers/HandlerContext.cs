using Google.Protobuf;
using InteropInterp.Protocol.Sessions;

namespace InteropInterp.Protocol.Handlers;

/// <summary>One call as a handler sees it, whatever door it came through.</summary>
public sealed record HandlerContext(Session Session)
{
    /// <summary>The client gave up, its deadline is over, its session ended, or the server stops.</summary>
    public CancellationToken Cancellation { get; init; }

    /// <summary>The way back into the client in the middle of a call; null where there is none.</summary>
    public IClientCallbacks? Callbacks { get; init; }

    /// <summary>Told how far a run has come; null where nobody listens.</summary>
    public IRunObserver? Observer { get; init; }

    /// <summary>The client is on this machine, so that a file made here can be opened there.</summary>
    public bool IsLocal { get; init; }
}

/// <summary>Functions of the client that a call may call back: in process only.</summary>
public interface IClientCallbacks
{
    /// <summary>Calls a function of the client on the thread that the call came from.</summary>
    /// <returns>The reply's bytes.</returns>
    byte[] Invoke(long id, IMessage request);
}

/// <summary>Told how far a run has come, on the thread that runs it, after every step: it must not wait.</summary>
public interface IRunObserver
{
    void Progress(long done, long total);

    void NewTokens(int firstRow, IReadOnlyList<int> tokens);

    /// <summary>Cells of a sweep that have become known.</summary>
    void Portion(V1.SweepPortion portion);
}
