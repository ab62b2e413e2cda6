namespace InteropInterp.Tokens;

/// <summary>What a model wants of its tokenizer; the names are those of TransformerLens's configuration.</summary>
public sealed record ModelTokenizerOptions
{
    /// <summary>default_prepend_bos: a BOS in front unless a call says otherwise. False for GPT-NeoX.</summary>
    public bool DefaultPrependBos { get; init; } = true;

    /// <summary>default_padding_side. Null: what the tokenizer's file says, else right.</summary>
    public PaddingSide? DefaultPaddingSide { get; init; }

    /// <summary>n_ctx: longer texts are cut. Null: no limit.</summary>
    public int? ContextLength { get; init; }

    /// <summary>d_vocab, where it is larger than the tokenizer's vocabulary: ids between the two have no text.</summary>
    public int? ModelVocabularySize { get; init; }
}
