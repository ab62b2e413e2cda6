namespace InteropInterp.Plans;

/// <summary>What a run gives besides its captures.</summary>
public sealed record Outputs
{
    public static Outputs None { get; } = new();
    public static Outputs AllLogits { get; } = new() { Logits = LogitsWanted.All };

    public LogitsWanted Logits { get; init; }

    /// <summary>Mean next-token cross-entropy over all rows, in nats.</summary>
    public bool Loss { get; init; }

    /// <summary>The cross-entropy of each next token [rows, pos - 1].</summary>
    public bool LossPerToken { get; init; }
}

/// <summary>The positions at which logits are computed.</summary>
public enum LogitsWanted
{
    /// <summary>Nowhere, unless something else needs them.</summary>
    None,

    /// <summary>[rows, pos, vocabulary].</summary>
    All,

    /// <summary>At each row's last token: [rows, 1, vocabulary].</summary>
    Last,
}
