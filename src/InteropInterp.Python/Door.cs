using InteropInterp.Native;
using InteropInterp.Native.Devices;
using InteropInterp.Protocol.Sessions;
using InteropInterp.Protocol.Tensors;

namespace InteropInterp.Python;

/// <summary>
/// The engine as Python sees it in its own process: methods that take and give bytes, and tensors by handle. One per process.
/// Nothing is thrown across the boundary: a call returns a code, and a reply that says the rest.
/// </summary>
public sealed class Door
{
    /// <summary>Codes of <see cref="Call"/> beside 0 and those of <see cref="ErrorCode"/>.</summary>
    internal const int CallbackFailed = -1, Interrupted = -2;

    private readonly CallTable table;
    private readonly PythonHost host;
    private int active;
    private volatile bool closing;

    internal Door(string name, CallTable table, PythonHost host, LibTorchInfo libTorch)
    {
        (Name, this.table, this.host, LibTorch) = (name, table, host, libTorch);
        Session = new Session("in process", Tensors);
    }

    /// <summary>Which loader brought .NET into this process: hostfxr or pythonnet.</summary>
    public string Name { get; }

    public LibTorchInfo LibTorch { get; }

    /// <summary>The tensors that Python holds: handle 17 is "tensors/17" in a message.</summary>
    public TensorStore Tensors { get; } = new(new TensorStoreOptions());

    /// <summary>What Python holds.</summary>
    public Session Session { get; }

    /// <summary>The right to compute on the CPU.</summary>
    public DeviceLease Lease { get; } = DeviceLeases.Of(TorchSharp.torch.CPU);

    /// <summary>Python is shutting down: calls end at their next step, and no callback runs any more.</summary>
    public bool IsClosing => closing;

    internal PythonHost Host => host;

    internal int NumberOf(string method) => table.NumberOf(method);

    /// <summary>Runs a method on the calling thread.</summary>
    /// <returns>0, an <see cref="ErrorCode"/>, or one of the two codes for exceptions that are Python's own.</returns>
    internal int Call(int method, ReadOnlySpan<byte> request, out byte[] reply, out PendingException pending)
    {
        var context = new CallContext(this, host);
        Interlocked.Increment(ref active);
        try
        {
            using var watch = Interrupts.Watch(context.CheckInterrupts);
            reply = table[method](request, context);
            // A handler that went on after either of these has no result that could be trusted.
            if (!context.Pending.IsSet && !context.CallbackFailed)
            {
                pending = default;
                return 0;
            }
        }
        catch (Exception e)
        {
            reply = ErrorReply.Write(e, out var code);
            if (!context.Pending.IsSet && !context.CallbackFailed)
            {
                pending = default;
                return code;
            }
        }
        finally
        {
            Interlocked.Decrement(ref active);
        }
        reply = [];
        pending = context.Pending;
        return pending.IsSet ? Interrupted : CallbackFailed;
    }

    /// <summary>
    /// Ends the calls in progress, and gives back the memory that is Python's. A thread that came back to Python after it has shut
    /// down would be killed in the middle of this runtime's frames, and the process with it, so this waits for them.
    /// </summary>
    /// <param name="milliseconds">For how long at most.</param>
    internal void Close(int milliseconds)
    {
        closing = true;
        var end = Environment.TickCount64 + milliseconds;
        while (Volatile.Read(ref active) > 0 && Environment.TickCount64 < end) Thread.Sleep(5);
        Tensors.Close();
    }
}
