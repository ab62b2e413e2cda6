using InteropInterp.Tokens.AddedTokens;
using InteropInterp.Tokens.Decoders;
using InteropInterp.Tokens.Models;
using InteropInterp.Tokens.Normalizers;
using InteropInterp.Tokens.PostProcessors;
using InteropInterp.Tokens.Text;

namespace InteropInterp.Tokens.Loading;

/// <summary>What a piece is; the numbers are those of SentencePiece and of GGUF.</summary>
internal enum PieceType
{
    Normal = 1,
    Unknown = 2,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
    Byte = 6,
}

internal readonly record struct Piece(string Token, float Score, PieceType Type);

/// <summary>
/// A SentencePiece BPE vocabulary: pieces with scores in the place of merges, spaces shown as "▁". Source:
/// src/bpe_model.cc of google/sentencepiece.
/// </summary>
internal sealed record SentencePieces(string Source, IReadOnlyList<Piece> Pieces)
{
    private const string Mark = "▁";

    /// <summary>A text, and what follows a special token, gets a space in front.</summary>
    public bool AddsPrefixSpace { get; init; } = true;

    public bool AddsBos { get; init; }
    public bool AddsEos { get; init; }

    /// <summary>Control tokens (&lt;s&gt;) are found in a text, as Hugging Face's tokenizers do and SentencePiece does not.</summary>
    public bool FindsControlTokens { get; init; } = true;

    /// <summary>What the unknown token decodes to, if not to itself.</summary>
    public string? UnknownSurface { get; init; }

    public ITokenizer Build(SpecialTokens special)
    {
        var vocabulary = Vocabulary.Create(Pieces.Select((piece, id) => KeyValuePair.Create(piece.Token, id)), Source);
        var mergeable = Pieces.Where(piece => piece.Type is PieceType.Normal or PieceType.UserDefined)
            .Select(piece => (piece.Token, piece.Score));
        var unknown = special.Unknown is { } id ? vocabulary.TokenOf(id) : null;
        var options = new BpeOptions
        {
            UnknownToken = unknown,
            FuseUnknown = true,
            ByteFallback = Pieces.Any(piece => piece.Type == PieceType.Byte),
        };
        var model = new Bpe(vocabulary, MergeTable.FromScores(mergeable.ToList(), vocabulary), options, Source);
        return new PipelineTokenizer(
            model, vocabulary, AddedTokens(), preTokenizer: null, Surround(special), Decoder(unknown), special);
    }

    private AddedTokenSet AddedTokens()
    {
        var tokens = Pieces.Select((piece, id) => (piece, id))
            .Where(p => p.piece.Type == PieceType.UserDefined || FindsControlTokens && p.piece.Type == PieceType.Control)
            .Select(p => new AddedToken(
                p.piece.Token.Replace(Mark, " ", StringComparison.Ordinal), p.id, Special: p.piece.Type == PieceType.Control));
        INormalizer spaces = new Replace(new LiteralMatcher(" "), Mark);
        return new(tokens.ToList(), AddsPrefixSpace ? new NormalizerSequence([new Prepend(Mark), spaces]) : spaces);
    }

    private Template Surround(SpecialTokens special) => new(
        AddsBos && special.Bos is { } bos ? [bos] : [], AddsEos && special.Eos is { } eos ? [eos] : []);

    private DecoderSequence Decoder(string? unknown)
    {
        var steps = new List<IDecoder> { MapDecoder.Replace(Mark, " "), new ByteFallbackDecoder() };
        if (UnknownSurface is { } surface) steps.Insert(0, new MapDecoder((piece, _, _) => piece == unknown ? surface : piece));
        steps.Add(new Fuse());
        if (AddsPrefixSpace) steps.Add(MapDecoder.Strip(' ', 1, 0));
        return new(steps);
    }
}
