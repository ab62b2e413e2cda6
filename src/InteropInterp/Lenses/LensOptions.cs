using InteropInterp.Plans;

namespace InteropInterp.Lenses;

/// <summary>What a lens reads of each stream, and where.</summary>
public sealed record LensOptions
{
    /// <summary>Positions, negative ones from each row's own end; as many of every row.</summary>
    public Positions Positions { get; init; } = Positions.At(-1);

    /// <summary>Tokens whose logits and ranks are wanted: a list for all rows, or one per row, of equal length.</summary>
    public IReadOnlyList<IReadOnlyList<int>> Tokens { get; init; } = [];

    /// <summary>How many of the likeliest tokens are named; 0: none.</summary>
    public int TopK { get; init; } = 5;

    /// <summary>Also the stream between attention and MLP, where a block has one. Not for a tuned lens.</summary>
    public bool IncludeMiddle { get; init; }

    /// <summary>Keep all logits: [streams, rows, positions, d_vocab_out] numbers.</summary>
    public bool KeepLogits { get; init; }

    /// <summary>Translators in front of the unembedding; null: the plain logit lens. Borrowed.</summary>
    public TunedLens? Tuned { get; init; }

    /// <summary>Bytes of logits that may be held at once beside the result.</summary>
    public long WorkingBytes { get; init; } = 128L << 20;
}
