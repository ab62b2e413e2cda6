using InteropInterp.Streams;
using InteropInterp.Streams.Sources;

namespace InteropInterp.Protocol.Sessions;

/// <summary>A client's stream, with all that it uses: they go together.</summary>
/// <param name="uses">The model, dictionaries and tensors it borrows, the room it takes.</param>
public sealed class StreamHandle(StreamExecution execution, ITokenSource source, IReadOnlyList<IDisposable> uses) : IDisposable
{
    private int isBusy;

    public StreamExecution Execution => execution;

    /// <summary>Keeps other calls out until it is disposed.</summary>
    /// <exception cref="InterpException">STREAM_BUSY.</exception>
    public IDisposable Enter()
    {
        if (Interlocked.Exchange(ref isBusy, 1) != 0)
            throw InterpException.Precondition("STREAM_BUSY", "Another call is running this stream: wait for it.");
        return new Leaving(this);
    }

    public void Dispose()
    {
        execution.Dispose();
        source.Dispose();
        foreach (var use in uses) use.Dispose();
    }

    private sealed class Leaving(StreamHandle handle) : IDisposable
    {
        public void Dispose() => Volatile.Write(ref handle.isBusy, 0);
    }
}
