using System.Runtime.InteropServices;
using InteropInterp.Native;

namespace InteropInterp.Python.Tests;

/// <summary>A Python of C# functions: what its callables and signal handlers do is set by the test.</summary>
internal static unsafe partial class FakePython
{
    private static readonly byte[] Answer = GC.AllocateArray<byte>(64, pinned: true);

    public static Func<long, byte[], byte[]?> Callable { get; set; } = (_, request) => request;
    public static bool SignalRaises { get; set; }
    public static int SignalChecks { get; private set; }
    public static int References { get; private set; }

    public static Door Open(CallTable table, bool onMainThread = true)
    {
        (Callable, SignalRaises, SignalChecks, References) = ((_, request) => request, false, 0, 0);
        var words = stackalloc IntPtr[sizeof(PythonFunctions) / sizeof(IntPtr)];
        words[0] = (IntPtr)(delegate* unmanaged<long, byte*, int, byte**, int*, int>)&CallBack;
        words[1] = (IntPtr)(delegate* unmanaged<int>)&Ensure;
        words[2] = (IntPtr)(delegate* unmanaged<int, void>)&Release;
        words[3] = (IntPtr)(delegate* unmanaged<int>)&CheckSignals;
        words[4] = (IntPtr)(delegate* unmanaged<IntPtr*, IntPtr*, IntPtr*, void>)&Fetch;
        words[5] = (IntPtr)(delegate* unmanaged<IntPtr, void>)&DecRef;
        words[8] = onMainThread ? ThreadNumber() : -1;
        return new Door("fake", table, new PythonHost(*(PythonFunctions*)words), LibTorch.Load());
    }

    [UnmanagedCallersOnly]
    private static int CallBack(long id, byte* request, int length, byte** reply, int* replyLength)
    {
        var answer = Callable(id, new ReadOnlySpan<byte>(request, length).ToArray());
        if (answer is null) return 0;
        answer.CopyTo(Answer, 0);
        *reply = (byte*)Marshal.UnsafeAddrOfPinnedArrayElement(Answer, 0);
        *replyLength = answer.Length;
        return 1;
    }

    [UnmanagedCallersOnly]
    private static int Ensure() => 0;

    [UnmanagedCallersOnly]
    private static void Release(int state)
    {
    }

    [UnmanagedCallersOnly]
    private static int CheckSignals()
    {
        SignalChecks++;
        return SignalRaises ? -1 : 0;
    }

    [UnmanagedCallersOnly]
    private static void Fetch(IntPtr* type, IntPtr* value, IntPtr* traceback)
    {
        (*type, *value, *traceback) = (1, 2, 3);
        References += 3;
    }

    [UnmanagedCallersOnly]
    private static void DecRef(IntPtr value) => References--;

    [LibraryImport("libc", EntryPoint = "gettid")]
    private static partial int ThreadNumber();
}
