using InteropInterp.Protocol.Sessions;
using InteropInterp.Protocol.Tensors;
using Microsoft.Extensions.Logging;

namespace InteropInterp.Server.Sessions;

/// <summary>
/// The sessions of a server. A named one stays while calls of it are in progress, and some minutes longer; one that is a
/// connection ends with the connection.
/// </summary>
internal sealed class SessionRegistry(TensorStore tensors, ServerLimits limits, TimeProvider clock, ILogger<SessionRegistry> logger) : IDisposable
{
    private readonly Lock gate = new();
    private readonly Dictionary<string, Entry> entries = [];
    private bool isClosed;

    private sealed class Entry(Session session, bool isConnection)
    {
        public Session Session { get; } = session;
        public bool IsConnection { get; } = isConnection;
        public int Calls { get; set; }
        public DateTimeOffset LastUse { get; set; }
    }

    public TimeSpan Grace => limits.SessionGrace;

    public int Count
    {
        get
        {
            lock (gate) return entries.Count;
        }
    }

    /// <summary>The session of a name, opened if need be; it is in use until what is returned is disposed.</summary>
    /// <exception cref="InterpException">TOO_MANY_SESSIONS, SERVER_STOPPING.</exception>
    public Use Enter(string id, bool isConnection)
    {
        lock (gate)
        {
            if (isClosed) throw Stopping();
            if (!entries.TryGetValue(id, out var entry))
            {
                if (entries.Count >= limits.Sessions) EndIdle();
                if (entries.Count >= limits.Sessions)
                    throw new InterpException(ErrorCode.ResourceExhausted, "TOO_MANY_SESSIONS", $"The server has {limits.Sessions} clients, the most it takes. Try again later.");
                entries[id] = entry = new Entry(new Session(id, tensors, limits.RunsPerSession), isConnection);
                Log.SessionOpened(logger, entries.Count);
            }
            entry.Calls++;
            return new Use(entry.Session, () => Leave(entry));
        }
    }

    /// <summary>A connection was closed.</summary>
    public void End(string id)
    {
        lock (gate)
            if (entries.TryGetValue(id, out var entry)) End(id, entry);
    }

    /// <summary>Ends named sessions that nobody has used for long.</summary>
    public void EndIdle()
    {
        var oldest = clock.GetUtcNow() - limits.SessionGrace;
        lock (gate)
            foreach (var (id, entry) in entries.Where(e => e.Value is { IsConnection: false, Calls: 0 } && e.Value.LastUse < oldest).ToList())
                End(id, entry);
    }

    public void Dispose()
    {
        lock (gate)
        {
            isClosed = true;
            foreach (var (id, entry) in entries.ToList()) End(id, entry);
        }
    }

    internal static InterpException Stopping() => new(ErrorCode.Unavailable, "SERVER_STOPPING", "The server is stopping; try again when it is back.");

    private void Leave(Entry entry)
    {
        lock (gate)
        {
            entry.Calls--;
            entry.LastUse = clock.GetUtcNow();
        }
    }

    private void End(string id, Entry entry)
    {
        entries.Remove(id);
        entry.Session.Dispose();
        Log.SessionEnded(logger, entries.Count);
    }

    /// <summary>One call's use of a session.</summary>
    internal sealed class Use(Session session, Action leave) : IDisposable
    {
        public Session Session => session;

        public void Dispose() => leave();
    }
}
