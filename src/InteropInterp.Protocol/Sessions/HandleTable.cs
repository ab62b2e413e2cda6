namespace InteropInterp.Protocol.Sessions;

/// <summary>
/// What a client holds under names like "models/3". A thing that is closed while a call uses it goes when that call has ended.
/// Safe for many threads.
/// </summary>
/// <param name="collection">"models".</param>
/// <param name="what">"model", for messages.</param>
public sealed class HandleTable<T>(string collection, string what) : IDisposable
    where T : class, IDisposable
{
    private readonly Lock gate = new();
    private readonly SortedDictionary<long, Entry> entries = [];
    private long last;
    private bool isClosed;

    private sealed class Entry(T value)
    {
        public readonly T Value = value;

        // The table's own use, and one per call.
        public int Uses = 1;
    }

    /// <summary>Takes a thing over, and disposes it where the session has ended meanwhile.</summary>
    /// <returns>Its name: never used again.</returns>
    /// <exception cref="InterpException">SESSION_ENDED.</exception>
    public string Add(T value)
    {
        lock (gate)
        {
            if (!isClosed)
            {
                entries[++last] = new Entry(value);
                return NameOf(last);
            }
        }
        value.Dispose();
        throw Session.HasEnded();
    }

    /// <summary>A use of the thing of a name; it stays until the use is disposed.</summary>
    /// <exception cref="InterpException">MODEL_CLOSED, UNKNOWN_MODEL and the like; FIELD_MISSING for an empty name.</exception>
    public Use Take(string name)
    {
        lock (gate)
        {
            var entry = Find(name);
            entry.Uses++;
            return new Use(entry.Value, () => Leave(entry));
        }
    }

    /// <summary>Uses of some things, oldest first: none of them goes while the caller looks at it.</summary>
    /// <param name="after">Of those behind this number.</param>
    /// <param name="most">So many at most.</param>
    public IReadOnlyList<KeyValuePair<string, Use>> Take(long after, int most)
    {
        lock (gate)
            return [.. entries.Where(e => e.Key > after).Take(most).Select(e =>
            {
                e.Value.Uses++;
                return KeyValuePair.Create(NameOf(e.Key), new Use(e.Value.Value, () => Leave(e.Value)));
            })];
    }

    /// <summary>Ends the client's hold.</summary>
    /// <exception cref="InterpException">As <see cref="Take(string)"/>.</exception>
    public void Close(string name)
    {
        Entry entry;
        lock (gate)
        {
            entry = Find(name);
            entries.Remove(NumberOf(name)!.Value);
        }
        Leave(entry);
    }

    /// <summary>Closes everything, and takes nothing more.</summary>
    public void Dispose()
    {
        lock (gate) isClosed = true;
        CloseAll();
    }

    /// <summary>Ends the client's hold of everything.</summary>
    public void CloseAll()
    {
        List<Entry> all;
        lock (gate)
        {
            all = [.. entries.Values];
            entries.Clear();
        }
        foreach (var entry in all) Leave(entry);
    }

    private Entry Find(string name)
    {
        if (NumberOf(name) is { } number)
        {
            if (entries.TryGetValue(number, out var entry)) return entry;
            if (number <= last)
                throw InterpException.Precondition($"{what.ToUpperInvariant()}_CLOSED", $"The {what} '{name}' was closed; load it again.");
        }
        else if (name.Length == 0)
        {
            throw InterpException.Invalid("FIELD_MISSING", $"The request names no {what}; '{collection}/N' is expected.");
        }
        throw InterpException.Unknown($"UNKNOWN_{what.ToUpperInvariant()}", what, name, entries.Keys.Select(NameOf));
    }

    private void Leave(Entry entry)
    {
        lock (gate)
            if (--entry.Uses > 0) return;
        entry.Value.Dispose();
    }

    private string NameOf(long number) => $"{collection}/{number}";

    private long? NumberOf(string name) => ResourceName.NumberOf(collection, name);

    /// <summary>One call's use of a thing.</summary>
    public sealed class Use(T value, Action leave) : IDisposable
    {
        private int done;

        public T Value => value;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref done, 1) == 0) leave();
        }
    }
}
