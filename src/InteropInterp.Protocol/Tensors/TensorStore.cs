using System.Collections.Concurrent;
using InteropInterp.Protocol.Sessions;
using static TorchSharp.torch;

namespace InteropInterp.Protocol.Tensors;

/// <summary>
/// The tensors that clients hold by name, each its owner's alone: kept until deleted, until its time is over, or until its
/// session ends, and counted against quotas. Safe for many threads.
/// </summary>
public sealed class TensorStore(TensorStoreOptions options, TimeProvider? clock = null) : IDisposable
{
    public const string Collection = "tensors";

    private readonly TimeProvider clock = clock ?? TimeProvider.System;
    private readonly Lock gate = new();
    private readonly Dictionary<long, StoredTensor> tensors = [];
    private readonly ConcurrentQueue<long> released = new();
    private readonly Lock drain = new();
    private long last;
    private long bytes;
    private int draining;
    private bool closed;

    public TensorStoreOptions Options => options;

    /// <summary>Tensors held.</summary>
    public int Count
    {
        get
        {
            lock (gate) return tensors.Count;
        }
    }

    /// <summary>Takes a tensor over, out of any scope; it is disposed where it cannot be kept.</summary>
    /// <param name="isView">Of memory that is counted elsewhere and must not be written to: a weight of a model.</param>
    /// <param name="timeToLive">After its last use; null: the store's default.</param>
    /// <exception cref="InterpException">TENSOR_QUOTA, SESSION_ENDED.</exception>
    public StoredTensor Add(Session owner, Tensor tensor, bool isView = false, TimeSpan? timeToLive = null)
    {
        tensor = tensor.DetachFromDisposeScope();
        var kept = timeToLive ?? options.TimeToLive;
        try
        {
            var size = isView ? 0 : tensor.numel() * tensor.element_size();
            lock (gate)
            {
                Charge(owner, size);
                return tensors[++last] = new StoredTensor(last, owner, tensor)
                {
                    IsReadOnly = isView, Charge = size, TimeToLive = kept, Expires = clock.GetUtcNow() + kept,
                };
            }
        }
        catch
        {
            tensor.Dispose();
            throw;
        }
    }

    /// <summary>Room for results to come, until what is returned is disposed: a run that would not find any does not begin.</summary>
    /// <exception cref="InterpException">TENSOR_QUOTA, SESSION_ENDED.</exception>
    public IDisposable Reserve(Session owner, long size)
    {
        lock (gate) Charge(owner, size);
        return new Reservation(() =>
        {
            lock (gate) GiveBack(owner, size);
        });
    }

    /// <summary>What is known of a tensor; counts as a use.</summary>
    /// <exception cref="InterpException">UNKNOWN_TENSOR.</exception>
    public StoredTensor Find(Session owner, string name) =>
        Find(owner, ResourceName.NumberOf(Collection, name) ?? throw Unknown(name));

    public StoredTensor Find(Session owner, long number)
    {
        lock (gate)
        {
            if (!tensors.TryGetValue(number, out var found) || found.Owner != owner) throw Unknown($"{Collection}/{number}");
            var now = clock.GetUtcNow();
            if (found.Expires <= now) throw Unknown(found.Name);
            found.Expires = now + found.TimeToLive;
            return found;
        }
    }

    /// <summary>The tensor of a name, as the current scope's own: it stays when somebody deletes it meanwhile.</summary>
    /// <exception cref="InterpException">UNKNOWN_TENSOR.</exception>
    public Tensor Get(Session owner, string name) => Get(owner, ResourceName.NumberOf(Collection, name) ?? throw Unknown(name));

    public Tensor Get(Session owner, long number)
    {
        lock (gate) return Find(owner, number).Tensor.alias();
    }

    /// <summary>Lets tensors of a session go. Names that are not there are passed over.</summary>
    public void Delete(Session owner, IEnumerable<string> names) => LetGo(() => names
        .Select(name => ResourceName.NumberOf(Collection, name) is { } number ? tensors.GetValueOrDefault(number) : null)
        .Where(found => found?.Owner == owner));

    public void Delete(IEnumerable<long> numbers) => LetGo(() => numbers.Select(tensors.GetValueOrDefault));

    public void DeleteAll(Session owner) => LetGo(() => tensors.Values.Where(t => t.Owner == owner));

    /// <summary>Lets those go whose time is over.</summary>
    public void DeleteExpired()
    {
        var now = clock.GetUtcNow();
        LetGo(() => tensors.Values.Where(t => t.Expires <= now));
    }

    /// <summary>
    /// Lets a tensor go from a destructor, on any thread: it only queues; the memory is freed elsewhere. A number that is not
    /// there is no error: destructors may come late.
    /// </summary>
    public void Release(long number)
    {
        released.Enqueue(number);
        if (Interlocked.Exchange(ref draining, 1) == 0)
            ThreadPool.UnsafeQueueUserWorkItem(static store => store.Drain(), this, preferLocal: false);
    }

    /// <summary>Frees what is queued; what another thread is freeing is freed too when this returns.</summary>
    public void Drain()
    {
        lock (drain)
        {
            Volatile.Write(ref draining, 0);
            while (!closed && released.TryDequeue(out var number)) Delete([number]);
        }
    }

    /// <summary>
    /// Frees what is queued, and from here on leaves what is released to the end of the process: a thread that gave memory back
    /// to a library that has shut down meanwhile (Python, under torch) would be killed, and the process with it.
    /// </summary>
    public void Close()
    {
        lock (drain)
        {
            Drain();
            closed = true;
        }
    }

    /// <summary>The file that a tensor was put into, or the one that <paramref name="create"/> makes of it now.</summary>
    internal string Map(Session owner, string name, Func<Tensor, string> create)
    {
        var tensor = Find(owner, name);
        lock (gate)
            if (tensor.MappedAt is { } there) return there;
        using var scope = NewDisposeScope();
        var path = create(Get(owner, name));
        lock (gate)
        {
            // Somebody else was faster, or has deleted it: there is one file, or none.
            if (tensor.MappedAt is not null || !tensors.ContainsKey(tensor.Number)) SharedTensorFile.Unlink(path);
            if (!tensors.ContainsKey(tensor.Number)) throw Unknown(name);
            return tensor.MappedAt ??= path;
        }
    }

    internal void Unmap(Session owner, string name)
    {
        var tensor = Find(owner, name);
        lock (gate) Unlink(tensor);
    }

    public void Dispose() => LetGo(() => tensors.Values);

    private void Charge(Session owner, long size)
    {
        if (owner.Ended.IsCancellationRequested) throw Session.HasEnded();
        if (!Fits(owner, size)) DeleteExpired();
        if (!Fits(owner, size))
            throw new InterpException(ErrorCode.ResourceExhausted, "TENSOR_QUOTA", size > options.SessionBytes - owner.TensorBytes
                ? $"{size >> 10:N0} KiB more would pass this client's {options.SessionBytes >> 10:N0} KiB of tensors, of which {owner.TensorBytes >> 10:N0} are in use. Delete tensors, or ask for less."
                : $"{size >> 10:N0} KiB more would pass the {options.TotalBytes >> 10:N0} KiB that this server keeps for all clients. Try again later, or ask for less.");
        owner.TensorBytes += size;
        bytes += size;
    }

    private void GiveBack(Session owner, long size)
    {
        owner.TensorBytes -= size;
        bytes -= size;
    }

    private bool Fits(Session owner, long size) =>
        !(size > options.SessionBytes - owner.TensorBytes) && !(size > options.TotalBytes - bytes);

    // Disposed when the gate is open again: memory of another library is given back to it, and that may wait for a lock (Python's)
    // of a thread that waits here.
    private void LetGo(Func<IEnumerable<StoredTensor?>> choose)
    {
        var gone = new List<StoredTensor>();
        lock (gate)
            foreach (var tensor in choose().ToList())
            {
                if (tensor is null || !tensors.Remove(tensor.Number)) continue;
                Unlink(tensor);
                GiveBack(tensor.Owner, tensor.Charge);
                gone.Add(tensor);
            }
        foreach (var tensor in gone) tensor.Tensor.Dispose();
    }

    private static void Unlink(StoredTensor tensor)
    {
        if (tensor.MappedAt is { } path) SharedTensorFile.Unlink(path);
        tensor.MappedAt = null;
    }

    private static InterpException Unknown(string name) => InterpException.NotFound("UNKNOWN_TENSOR",
        $"There is no tensor '{name}': it was deleted, its time was over, or it never was. Run again what gave it.");

    private sealed class Reservation(Action end) : IDisposable
    {
        private Action? pending = end;

        public void Dispose() => Interlocked.Exchange(ref pending, null)?.Invoke();
    }
}
