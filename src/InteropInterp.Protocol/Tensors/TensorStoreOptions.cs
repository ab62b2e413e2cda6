namespace InteropInterp.Protocol.Tensors;

/// <summary>How long tensors are kept for clients, and how much of them. In process there are no limits.</summary>
public sealed record TensorStoreOptions
{
    /// <summary>After its last use, where the client does not say; null: until it is deleted.</summary>
    public TimeSpan? TimeToLive { get; init; }

    /// <summary>The longest a client may ask for.</summary>
    public TimeSpan LongestTimeToLive { get; init; } = TimeSpan.FromDays(1);

    /// <summary>Bytes that one session may hold; null: no limit.</summary>
    public long? SessionBytes { get; init; }

    /// <summary>Bytes of all sessions together; null: no limit.</summary>
    public long? TotalBytes { get; init; }
}
