using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace InteropInterp.Python;

/// <summary>
/// Python arrays whose memory tensors use. Python keeps each alive under a number until that number comes up here: the deleter
/// of the last view runs on any thread, where taking the GIL could block, so it only queues.
/// </summary>
internal static unsafe class Borrowed
{
    private static readonly ConcurrentQueue<long> Done = new();

    /// <summary>The deleter for the DLManagedTensor that Python builds; its context is the number.</summary>
    public static IntPtr Deleter => (IntPtr)(delegate* unmanaged<IntPtr*, void>)&Return;

    /// <summary>Numbers waiting to be taken.</summary>
    public static int Count => Done.Count;

    /// <summary>Moves up to <paramref name="room"/> numbers to Python.</summary>
    public static int Take(long* numbers, int room)
    {
        var count = 0;
        while (count < room && Done.TryDequeue(out var number)) numbers[count++] = number;
        return count;
    }

    // DLManagedTensor.manager_ctx is its seventh word: data, device, rank and type, shape, strides, offset, context.
    [UnmanagedCallersOnly]
    private static void Return(IntPtr* managed) => Done.Enqueue(managed[6]);
}
