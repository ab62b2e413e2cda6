using InteropInterp.Native.Devices;

namespace InteropInterp.Python;

/// <summary>One call in progress: what a handler may use, and how the call ends in Python.</summary>
public sealed class CallContext
{
    private readonly PythonHost host;
    private readonly Thread thread = Thread.CurrentThread;

    internal CallContext(Door door, PythonHost host)
    {
        (Door, this.host) = (door, host);
    }

    public Door Door { get; }

    /// <summary>A Python callable raised: Python holds its exception and raises it again when the call returns.</summary>
    internal bool CallbackFailed { get; private set; }

    /// <summary>What a Python signal handler raised (Ctrl-C: KeyboardInterrupt), for Python to raise when the call returns.</summary>
    internal PendingException Pending { get; private set; }

    /// <summary>
    /// Calls a Python callable that the client registered, on this, the caller's own, thread. It may call the engine again.
    /// </summary>
    /// <exception cref="InterpException">CALLBACK_FAILED: it raised; the exception reaches the caller as itself.</exception>
    public byte[] CallBack(long id, ReadOnlySpan<byte> request)
    {
        if (thread != Thread.CurrentThread)
            throw new InterpException(ErrorCode.Internal, "CALLBACK_OFF_THREAD",
                "Python callables run on the thread that called the engine.");
        CheckClosing();
        if (host.TryCallBack(id, request, out var reply)) return reply;
        CallbackFailed = true;
        throw new InterpException(ErrorCode.Cancelled, "CALLBACK_FAILED", $"Python callback {id} raised an exception.");
    }

    /// <summary>What <see cref="Interrupts.Check"/> looks at during the call.</summary>
    internal void CheckInterrupts()
    {
        CheckClosing();
        if (Pending.IsSet || !host.TryCheckSignals(out var pending)) return;
        Pending = pending;
        throw new InterpException(ErrorCode.Cancelled, "INTERRUPTED", "A signal handler of Python raised an exception.");
    }

    private void CheckClosing()
    {
        if (Door.IsClosing) throw new InterpException(ErrorCode.Cancelled, "CLOSING", "Python is shutting down.");
    }
}
