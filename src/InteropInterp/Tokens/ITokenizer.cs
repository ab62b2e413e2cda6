namespace InteropInterp.Tokens;

/// <summary>Text to token ids and back, exactly as the tokenizer's file says. Immutable; safe for many threads.</summary>
public interface ITokenizer
{
    /// <summary>The largest id, of added tokens too, plus one. A model's own vocabulary may be larger (padded).</summary>
    int VocabularySize { get; }

    int? BosId { get; }
    int? EosId { get; }
    int? PadId { get; }
    int? UnknownId { get; }

    /// <summary>The file puts a BOS in front of a text that is encoded with special tokens.</summary>
    bool PrependsBos { get; }

    /// <summary>The file says in so many words that a text starts without BOS (<c>add_bos_token: false</c>).</summary>
    bool DeclinesBos { get; }

    /// <summary>Where the file wants padding, if it says so.</summary>
    PaddingSide? PaddingSide { get; }

    /// <summary>[token] ids of a text. A lone surrogate counts as U+FFFD.</summary>
    /// <param name="text">May be empty.</param>
    /// <param name="addSpecialTokens">Put the special tokens of the file's template (BOS, EOS) around it.</param>
    int[] Encode(string text, bool addSpecialTokens = false);

    /// <summary>The same ids, with the place of each in the text.</summary>
    Encoding EncodeWithOffsets(string text, bool addSpecialTokens = false);

    /// <summary>The text of ids. Bytes that are not valid UTF-8 become U+FFFD.</summary>
    /// <exception cref="InterpException">TOKEN_ID_OUT_OF_RANGE.</exception>
    string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens = false);

    /// <summary>The token of an id as the file stores it ("Ġthe"), or null where the id has none.</summary>
    string? TokenOf(int id);

    /// <summary>The id of a token as the file stores it, or null where there is none.</summary>
    int? IdOf(string token);
}
