using InteropInterp.Protocol.Tensors;

namespace InteropInterp.Protocol.Sessions;

/// <summary>What one client holds: models, dictionaries, streams, tensors. Nobody else sees them, and all go when it ends.</summary>
public sealed class Session : IDisposable
{
    private readonly TensorStore tensors;
    private readonly int? maxRuns;
    private readonly CancellationTokenSource ended = new();
    private int runs;

    /// <param name="maxRuns">Runs at a time; null: no limit.</param>
    public Session(string id, TensorStore tensors, int? maxRuns = null)
    {
        (Id, this.tensors, this.maxRuns) = (id, tensors, maxRuns);
    }

    /// <summary>Known to the client alone; not for logs.</summary>
    public string Id { get; }

    public HandleTable<ModelHandle> Models { get; } = new("models", "model");

    public HandleTable<DictionaryHandle> Dictionaries { get; } = new("dictionaries", "dictionary");

    public HandleTable<StreamHandle> Streams { get; } = new("streams", "stream");

    /// <summary>Cancelled when the session ends; its runs end with it.</summary>
    public CancellationToken Ended => ended.Token;

    /// <summary>Bytes of its tensors, kept by the store.</summary>
    internal long TensorBytes { get; set; }

    /// <summary>A place among the runs of this client, until it is disposed.</summary>
    /// <exception cref="InterpException">TOO_MANY_RUNS, SESSION_ENDED.</exception>
    public IDisposable BeginRun()
    {
        if (ended.IsCancellationRequested) throw HasEnded();
        if (Interlocked.Increment(ref runs) > maxRuns)
        {
            Interlocked.Decrement(ref runs);
            throw new InterpException(ErrorCode.ResourceExhausted, "TOO_MANY_RUNS",
                $"This client has {maxRuns} runs in hand, the most it may have at a time. Wait for one of them.");
        }
        return new Run(this);
    }

    /// <summary>Lets everything go that it holds now; calls in progress keep what they use until they end.</summary>
    public void Release()
    {
        Streams.CloseAll();
        Models.CloseAll();
        Dictionaries.CloseAll();
        tensors.DeleteAll(this);
    }

    /// <summary>Ends its runs, and lets everything go for good.</summary>
    public void Dispose()
    {
        ended.Cancel();
        Streams.Dispose();
        Models.Dispose();
        Dictionaries.Dispose();
        tensors.DeleteAll(this);
    }

    internal static InterpException HasEnded() => InterpException.Precondition("SESSION_ENDED", "The session has ended, and what it held is gone: open another one.");

    private sealed class Run(Session session) : IDisposable
    {
        private int done;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref done, 1) == 0) Interlocked.Decrement(ref session.runs);
        }
    }
}
