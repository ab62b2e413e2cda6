using System.Collections.Concurrent;
using static TorchSharp.torch;

namespace InteropInterp.Python;

/// <summary>Tensors that Python holds by number.</summary>
public sealed class TensorTable
{
    private readonly ConcurrentDictionary<long, Tensor> tensors = new();
    private readonly ConcurrentQueue<long> released = new();
    private long last;
    private int draining;

    /// <summary>Handles in use.</summary>
    public int Count => tensors.Count;

    /// <summary>Takes a tensor over, out of any scope.</summary>
    /// <returns>Its handle: never 0, never used again.</returns>
    public long Add(Tensor tensor)
    {
        var handle = Interlocked.Increment(ref last);
        tensors[handle] = tensor.DetachFromDisposeScope();
        return handle;
    }

    /// <summary>The tensor of a handle, as the current scope's own: it stays when another thread releases the handle meanwhile.</summary>
    /// <exception cref="InterpException">UNKNOWN_TENSOR.</exception>
    public Tensor Get(long handle)
    {
        if (tensors.TryGetValue(handle, out var tensor))
            lock (tensor)
                if (!tensor.IsInvalid)
                    return tensor.alias();
        throw InterpException.NotFound("UNKNOWN_TENSOR", $"Tensor {handle} is not there: it was released, or never made.");
    }

    /// <summary>
    /// Lets a handle go. Called from Python's destructors, on any thread, with the GIL held: it only queues; the memory is freed
    /// elsewhere. A handle that is not there is no error: destructors may come late.
    /// </summary>
    public void Release(long handle)
    {
        released.Enqueue(handle);
        if (Interlocked.Exchange(ref draining, 1) == 0)
            ThreadPool.UnsafeQueueUserWorkItem(static table => table.Drain(), this, preferLocal: false);
    }

    /// <summary>Frees what is queued, here and now.</summary>
    public void Drain()
    {
        Volatile.Write(ref draining, 0);
        while (released.TryDequeue(out var handle))
            if (tensors.TryRemove(handle, out var tensor))
                lock (tensor)
                    tensor.Dispose();
    }
}
