using InteropInterp.Tensors;

namespace InteropInterp.Tokens;

/// <summary>
/// A tokenizer as a model uses it, with the calls and the BOS of TransformerLens 3.9 (HookedTransformer.to_tokens and its
/// siblings). Without a padding token, and without a BOS, the EOS takes the part. Immutable; safe for many threads.
/// </summary>
public sealed class ModelTokenizer
{
    // Of a text that is no single token, so many tokens are named.
    private const int Shown = 10;

    private readonly ModelTokenizerOptions options;
    private readonly int[] suffix;

    public ModelTokenizer(ITokenizer tokenizer, ModelTokenizerOptions? options = null)
    {
        Tokenizer = tokenizer;
        this.options = options ?? new();
        BosId = tokenizer.BosId ?? tokenizer.EosId;
        PadId = tokenizer.PadId ?? tokenizer.EosId;
        DefaultPrependBos = this.options.DefaultPrependBos && BosId is not null && !tokenizer.DeclinesBos;
        // What the file's template puts behind a text.
        suffix = tokenizer.Encode("", addSpecialTokens: true)[(tokenizer.PrependsBos ? 1 : 0)..];
    }

    /// <summary>A tokenizer with what a model's config says of BOS, context and vocabulary.</summary>
    public static ModelTokenizer For(ITokenizer tokenizer, InteropInterp.Models.TransformerConfig config) => new(tokenizer, new ModelTokenizerOptions
    {
        DefaultPrependBos = config.DefaultPrependBos,
        ContextLength = config.ContextLength,
        ModelVocabularySize = config.VocabularySize,
    });

    public ITokenizer Tokenizer { get; }
    public int? BosId { get; }
    public int? EosId => Tokenizer.EosId;
    public int? PadId { get; }
    public PaddingSide DefaultPaddingSide => options.DefaultPaddingSide ?? Tokenizer.PaddingSide ?? PaddingSide.Right;

    /// <summary>
    /// Whether calls that do not say put a BOS in front: what the model wants, unless the tokenizer's own file declines it
    /// (SmolLM2) or there is none.
    /// </summary>
    public bool DefaultPrependBos { get; }

    /// <summary>to_tokens of one text: one row.</summary>
    /// <param name="prependBos">Null: <see cref="DefaultPrependBos"/>.</param>
    /// <param name="truncate">Cut to the model's context; else a longer row is returned as it is.</param>
    /// <exception cref="InterpException">EMPTY_INPUT: no text and no BOS is no token; NO_BOS_TOKEN.</exception>
    public int[] ToTokens(string text, bool? prependBos = null, bool truncate = true)
    {
        var withBos = prependBos ?? DefaultPrependBos;
        var ids = Tokenizer.Encode(text, addSpecialTokens: true);
        if (Tokenizer.PrependsBos && !withBos) ids = ids[1..];
        else if (!Tokenizer.PrependsBos && withBos) ids = [RequireBos(), .. ids];
        if (truncate && options.ContextLength is { } limit && ids.Length > limit)
            ids = limit > suffix.Length ? [.. ids[..(limit - suffix.Length)], .. suffix] : ids[..limit];
        return ids.Length > 0 ? ids : throw InterpException.Invalid("EMPTY_INPUT",
            "An empty text without BOS has no tokens. Give a text, or prepend_bos=true.");
    }

    /// <summary>to_tokens of several texts: a row each, of different lengths.</summary>
    /// <param name="paddingSide">Null: <see cref="DefaultPaddingSide"/>.</param>
    /// <exception cref="InterpException">As for one text; EMPTY_INPUT for no texts.</exception>
    public TokenRows ToTokens(
        IReadOnlyList<string> texts, bool? prependBos = null, PaddingSide? paddingSide = null, bool truncate = true)
    {
        InterpException.Require(texts.Count > 0, "EMPTY_INPUT", "There is no text to tokenize: the list is empty.");
        return new(texts.Select(text => ToTokens(text, prependBos, truncate)).ToList(), paddingSide ?? DefaultPaddingSide, PadId);
    }

    /// <summary>to_string: the text of ids, special tokens included.</summary>
    /// <exception cref="InterpException">TOKEN_ID_OUT_OF_RANGE.</exception>
    public string ToText(ReadOnlySpan<int> ids)
    {
        var known = new List<int>(ids.Length);
        foreach (var id in ids)
            // An id that only the model's padded vocabulary has is no text.
            if (id < Tokenizer.VocabularySize || id >= options.ModelVocabularySize.GetValueOrDefault()) known.Add(id);
        return Tokenizer.Decode(known.ToArray());
    }

    /// <summary>to_str_tokens of ids: the text of each by itself (bytes that are no character by themselves are U+FFFD).</summary>
    /// <exception cref="InterpException">TOKEN_ID_OUT_OF_RANGE.</exception>
    public string[] ToStrTokens(ReadOnlySpan<int> ids)
    {
        var pieces = new string[ids.Length];
        for (var i = 0; i < ids.Length; i++) pieces[i] = ToText(ids.Slice(i, 1));
        return pieces;
    }

    /// <summary>to_str_tokens of a text.</summary>
    public string[] ToStrTokens(string text, bool? prependBos = null) => ToStrTokens(ToTokens(text, prependBos));

    /// <summary>to_single_token: the id of a text that is one token.</summary>
    /// <exception cref="InterpException">NOT_A_SINGLE_TOKEN, which says into which tokens it falls.</exception>
    public int ToSingleToken(string text)
    {
        var ids = Tokenizer.Encode(text);
        if (ids.Length == 1) return ids[0];
        var spaced = Tokenizer.Encode(" " + text).Length == 1 ? new[] { " " + text } : [];
        var shown = string.Join(", ", ToStrTokens(ids.AsSpan(0, Math.Min(ids.Length, Shown))).Select(Quoted.Name));
        throw new InterpException(ErrorCode.InvalidArgument, "NOT_A_SINGLE_TOKEN",
            $"{Quoted.Name(text)} is not a single token but {ids.Length}: {shown}{(ids.Length > Shown ? ", ..." : "")}.", spaced);
    }

    /// <summary>to_single_str_token: the text of one id.</summary>
    /// <exception cref="InterpException">TOKEN_ID_OUT_OF_RANGE.</exception>
    public string ToSingleStrToken(int id) => ToText([id]);

    /// <summary>get_token_position: where a token stands in a row.</summary>
    /// <exception cref="InterpException">TOKEN_ABSENT.</exception>
    public int GetTokenPosition(int token, ReadOnlySpan<int> row, TokenOccurrence occurrence = TokenOccurrence.First)
    {
        var position = occurrence == TokenOccurrence.First ? row.IndexOf(token) : row.LastIndexOf(token);
        return position >= 0 ? position : throw InterpException.NotFound("TOKEN_ABSENT",
            $"The token {token} ({Quoted.Name(ToText([token]))}) does not occur in the {row.Length} tokens of the prompt.");
    }

    public int GetTokenPosition(
        int token, string text, TokenOccurrence occurrence = TokenOccurrence.First, bool? prependBos = null) =>
        GetTokenPosition(token, ToTokens(text, prependBos), occurrence);

    public int GetTokenPosition(string token, ReadOnlySpan<int> row, TokenOccurrence occurrence = TokenOccurrence.First) =>
        GetTokenPosition(ToSingleToken(token), row, occurrence);

    /// <exception cref="InterpException">NOT_A_SINGLE_TOKEN, TOKEN_ABSENT.</exception>
    public int GetTokenPosition(
        string token, string text, TokenOccurrence occurrence = TokenOccurrence.First, bool? prependBos = null) =>
        GetTokenPosition(ToSingleToken(token), ToTokens(text, prependBos), occurrence);

    public int RequireBos() => BosId ?? throw InterpException.Precondition("NO_BOS_TOKEN",
        "The tokenizer has neither a BOS nor an EOS token to put in front. Pass prepend_bos=false.");
}
