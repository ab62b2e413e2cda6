using System.Runtime.InteropServices;

namespace InteropInterp.Python;

/// <summary>A Python exception that is not raised yet: three owned references, for PyErr_Restore.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct PendingException(IntPtr Type, IntPtr Value, IntPtr Traceback)
{
    public bool IsSet => Type != IntPtr.Zero;
}

/// <summary>
/// What the Python side hands over when it opens the door: its callback, and the few functions of CPython that are needed on
/// this side. The layout is that of <c>Host</c> in python/interopinterp/_inproc/abi.py.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly unsafe struct PythonFunctions
{
    /// <summary>(id, request, its length, reply, its length): 1, or 0 when the callable raised.</summary>
    public readonly delegate* unmanaged<long, byte*, int, byte**, int*, int> CallBack;

    public readonly delegate* unmanaged<int> GilEnsure;
    public readonly delegate* unmanaged<int, void> GilRelease;
    public readonly delegate* unmanaged<int> CheckSignals;
    public readonly delegate* unmanaged<IntPtr*, IntPtr*, IntPtr*, void> FetchException;
    public readonly delegate* unmanaged<IntPtr, void> DecRef;
    public readonly delegate* unmanaged<IntPtr, byte*, int> CapsuleIsValid;
    public readonly delegate* unmanaged<IntPtr, byte*, IntPtr> CapsulePointer;

    /// <summary>The operating system's number of the one thread that handles signals.</summary>
    public readonly long MainThread;
}

/// <summary>Calls into Python from this side.</summary>
internal sealed unsafe partial class PythonHost(PythonFunctions python)
{
    // Long enough that asking costs nothing, short enough that Ctrl-C feels immediate.
    private const int SignalInterval = 20;

    [ThreadStatic] private static int threadNumber;
    private long lastLook;

    /// <summary>Calls a registered Python callable; false when it raised.</summary>
    public bool TryCallBack(long id, ReadOnlySpan<byte> request, out byte[] reply)
    {
        byte* data = null;
        var length = 0;
        fixed (byte* bytes = request)
        {
            var done = python.CallBack(id, bytes, request.Length, &data, &length) == 1;
            // The reply's memory is Python's, and stays until this thread's next callback returns.
            reply = done && length > 0 ? new ReadOnlySpan<byte>(data, length).ToArray() : [];
            return done;
        }
    }

    /// <summary>
    /// Lets Python run the handlers of signals that have arrived; true when one raised. Python does that only on its main thread
    /// and only when asked, and that thread is here, inside the call. Asking is the one way that runs whatever handler is
    /// installed (a notebook's, a debugger's, a test runner's alarm); a handler of our own, or a file descriptor to wake us, would
    /// take the place of theirs. The functions are CPython's own, with no bytecode around them: in Python code the exception
    /// could be raised one instruction before the try block that should catch it.
    /// </summary>
    public bool TryCheckSignals(out PendingException pending)
    {
        pending = default;
        var now = Environment.TickCount64;
        if (now - lastLook < SignalInterval || ThreadNumber != python.MainThread) return false;
        lastLook = now;
        var state = python.GilEnsure();
        var raised = python.CheckSignals() != 0;
        if (raised)
        {
            IntPtr type, value, traceback;
            python.FetchException(&type, &value, &traceback);
            pending = new PendingException(type, value, traceback);
        }
        python.GilRelease(state);
        return raised;
    }

    /// <summary>Forgets an exception that nobody will raise.</summary>
    public void Drop(PendingException pending)
    {
        if (!pending.IsSet) return;
        var state = python.GilEnsure();
        python.DecRef(pending.Type);
        python.DecRef(pending.Value);
        python.DecRef(pending.Traceback);
        python.GilRelease(state);
    }

    /// <summary>The pointer in a capsule that nobody took; zero otherwise. The caller holds the GIL.</summary>
    public IntPtr Untaken(IntPtr capsule)
    {
        fixed (byte* name = "dltensor\0"u8)
            return python.CapsuleIsValid(capsule, name) != 0 ? python.CapsulePointer(capsule, name) : IntPtr.Zero;
    }

    private static int ThreadNumber => threadNumber != 0 ? threadNumber : threadNumber = GetThreadNumber();

    [LibraryImport("libc", EntryPoint = "gettid")]
    private static partial int GetThreadNumber();
}
