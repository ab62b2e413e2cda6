using InteropInterp.Tokens.AddedTokens;
using InteropInterp.Tokens.Decoders;
using InteropInterp.Tokens.Models;
using InteropInterp.Tokens.PostProcessors;
using InteropInterp.Tokens.PreTokenizers;
using InteropInterp.Tokens.Text;

namespace InteropInterp.Tokens;

/// <summary>Which tokens of a tokenizer have a part to play, and what its files say about a BOS and padding.</summary>
internal sealed record SpecialTokens(
    int? Bos = null, int? Eos = null, int? Pad = null, int? Unknown = null, bool DeclinesBos = false,
    PaddingSide? PaddingSide = null);

/// <summary>
/// A tokenizer as a chain of components, the same as Hugging Face's: added tokens and normalizer, pre-tokenizer, model,
/// post-processor; and a decoder for the way back.
/// </summary>
/// <remarks>
/// Our own code, because neither library reproduces the 3,736 golden texts of the 23 BPE tokenizers it was tried on.
/// Microsoft.ML.Tokenizers 2.0.1, built from the parsed parts, gives the ids of 2,299: it has no nested classes and one regular
/// expression per tokenizer, no ignore_merges, no byte fallback from tokenizer.json, no lstrip/rstrip/single_word, and its NFC
/// does nothing under InvariantGlobalization. Tokenizers.DotNet 1.4.1 gives the ids of all, but always with the special tokens
/// and never with offsets, tokens or a vocabulary; decoding always drops special tokens; it reads a path only, so nothing from
/// a GGUF. Both were measured on the byte-level and the Llama-style tokenizers alike.
/// </remarks>
internal sealed class PipelineTokenizer : ITokenizer
{
    private readonly IModel model;
    private readonly Vocabulary vocabulary;
    private readonly AddedTokenSet addedTokens;
    private readonly IPreTokenizer? preTokenizer;
    private readonly IPostProcessor? postProcessor;
    private readonly IDecoder? decoder;

    public PipelineTokenizer(
        IModel model, Vocabulary vocabulary, AddedTokenSet addedTokens, IPreTokenizer? preTokenizer, IPostProcessor? postProcessor,
        IDecoder? decoder, SpecialTokens special)
    {
        this.model = model;
        this.vocabulary = vocabulary;
        this.addedTokens = addedTokens;
        this.preTokenizer = preTokenizer;
        this.postProcessor = postProcessor;
        this.decoder = decoder;
        (BosId, EosId, PadId, UnknownId) = (special.Bos, special.Eos, special.Pad, special.Unknown);
        PrependsBos = postProcessor is { Before: [var first, ..] } && first == BosId;
        DeclinesBos = special.DeclinesBos;
        PaddingSide = special.PaddingSide;
    }

    public int VocabularySize => vocabulary.Size;
    public int? BosId { get; }
    public int? EosId { get; }
    public int? PadId { get; }
    public int? UnknownId { get; }
    public bool PrependsBos { get; }
    public bool DeclinesBos { get; }
    public PaddingSide? PaddingSide { get; }

    public int[] Encode(string text, bool addSpecialTokens = false) => Tokenize(text, addSpecialTokens, withSpans: false).ToIds();

    public Encoding EncodeWithOffsets(string text, bool addSpecialTokens = false) =>
        Tokenize(text, addSpecialTokens, withSpans: true).ToEncoding();

    public string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens = false)
    {
        var pieces = new List<string>(ids.Length);
        foreach (var id in ids)
        {
            if ((uint)id >= (uint)VocabularySize)
                throw InterpException.OutOfRange("TOKEN_ID_OUT_OF_RANGE", $"Token id {id} is not in the vocabulary, which is 0..{VocabularySize - 1}.");
            // An id in a gap of the vocabulary has no text.
            if (vocabulary.TokenOf(id) is { } token && !(skipSpecialTokens && addedTokens.IsSpecial(token))) pieces.Add(token);
        }
        return decoder is null ? string.Join(' ', pieces) : string.Concat(decoder.Decode(pieces));
    }

    public string? TokenOf(int id) => vocabulary.TokenOf(id);

    public int? IdOf(string token) => vocabulary.IdOf(token);

    private TokenList Tokenize(string text, bool addSpecialTokens, bool withSpans)
    {
        var tokens = new TokenList(withSpans);
        addedTokens.Split(AlignedText.From(text, withSpans), tokens, (part, isAtStart) =>
        {
            var words = new Words(part, isAtStart);
            preTokenizer?.Apply(words);
            for (var i = 0; i < words.Count; i++) model.Tokenize(words[i], tokens);
        });
        postProcessor?.Apply(tokens, addSpecialTokens);
        return tokens;
    }
}
