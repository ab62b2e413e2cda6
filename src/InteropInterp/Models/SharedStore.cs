namespace InteropInterp.Models;

/// <summary>
/// Things that are expensive to load, each held once however many use it, and gone with the last of them. Safe for many
/// threads: those who ask for what is being loaded wait for it.
/// </summary>
/// <param name="release">Disposes a value when its last user has left.</param>
public sealed class SharedStore<TKey, TValue>(Action<TValue> release)
    where TKey : notnull
{
    private readonly Lock gate = new();
    private readonly Dictionary<TKey, Entry> entries = [];

    private sealed class Entry(TKey key, Func<TValue> load)
    {
        public TKey Key { get; } = key;
        public Lazy<TValue> Value { get; } = new(load, LazyThreadSafetyMode.ExecutionAndPublication);
        public int Users { get; set; }
    }

    /// <summary>How many values are held.</summary>
    public int Count
    {
        get
        {
            lock (gate) return entries.Count;
        }
    }

    /// <summary>The values that are loaded.</summary>
    public IReadOnlyList<TValue> Values
    {
        get
        {
            lock (gate) return [.. entries.Values.Where(e => e.Value.IsValueCreated).Select(e => e.Value.Value)];
        }
    }

    /// <summary>Whether somebody holds, or is loading, the value of a key.</summary>
    public bool Holds(TKey key)
    {
        lock (gate) return entries.ContainsKey(key);
    }

    /// <summary>The value of a key, loaded if nobody holds it.</summary>
    /// <returns>The value, and what to call once when done with it.</returns>
    public (TValue Value, Action Leave) Take(TKey key, Func<TValue> load, CancellationToken cancellation = default)
    {
        while (true)
        {
            Entry entry;
            lock (gate)
            {
                if (!entries.TryGetValue(key, out entry!)) entries[key] = entry = new Entry(key, load);
                entry.Users++;
            }
            try
            {
                return (entry.Value.Value, () => Leave(entry));
            }
            catch (InterpException e) when (e.Code == ErrorCode.Cancelled && !cancellation.IsCancellationRequested)
            {
                // Somebody else began to load it and gave up: it is our turn.
                Forget(entry);
            }
            catch
            {
                Forget(entry);
                throw;
            }
        }
    }

    // A load that failed is not kept: the next one tries again.
    private void Forget(Entry entry)
    {
        lock (gate)
            if (entries.TryGetValue(entry.Key, out var held) && ReferenceEquals(held, entry)) entries.Remove(entry.Key);
    }

    private void Leave(Entry entry)
    {
        lock (gate)
        {
            if (--entry.Users > 0) return;
            Forget(entry);
        }
        release(entry.Value.Value);
    }
}
