using System.Text;
using InteropInterp.Tensors;
using InteropInterp.Tokens.Text;

namespace InteropInterp.Tokens.Models;

/// <summary>How a BPE model treats what its merges do not cover: the fields of tokenizer.json by their names.</summary>
internal sealed record BpeOptions
{
    public string? UnknownToken { get; init; }

    /// <summary>A run of unknown characters is one unknown token.</summary>
    public bool FuseUnknown { get; init; }

    /// <summary>An unknown character becomes the tokens of its UTF-8 bytes: &lt;0xE2&gt;.</summary>
    public bool ByteFallback { get; init; }

    /// <summary>A word that is a token is taken whole, whatever the merges say.</summary>
    public bool IgnoreMerges { get; init; }

    public string ContinuingSubwordPrefix { get; init; } = "";
    public string EndOfWordSuffix { get; init; } = "";
}

/// <summary>Byte-pair encoding of one word, as Hugging Face's tokenizers do it.</summary>
internal sealed class Bpe : IModel
{
    private const int CachedLength = 256;

    private readonly MergeTable merges;
    private readonly BpeOptions options;
    private readonly WordCache cache = new();
    private readonly Seams? seams;
    private readonly Dictionary<int, int> idOfRune;
    private readonly int[]? idOfByte;
    private readonly int? unknownId;

    public Bpe(Vocabulary vocabulary, MergeTable merges, BpeOptions options, string source)
    {
        Vocabulary = vocabulary;
        this.merges = merges;
        this.options = options;
        idOfRune = vocabulary.Entries.Where(entry => IsOneRune(entry.Key))
            .ToDictionary(entry => Rune.GetRuneAt(entry.Key, 0).Value, entry => entry.Value);
        idOfByte = options.ByteFallback ? ByteIds(vocabulary) : null;
        if (options.UnknownToken is not null)
            unknownId = vocabulary.IdOf(options.UnknownToken) ?? throw InterpException.DataLoss("UNKNOWN_TOKEN_ABSENT",
                $"'{source}': the unknown token {Quoted.Name(options.UnknownToken)} is not in the vocabulary.");
        if (!HasAffixes) seams = new(vocabulary, merges, idOfRune);
    }

    public Vocabulary Vocabulary { get; }

    private bool HasAffixes => options.ContinuingSubwordPrefix.Length > 0 || options.EndOfWordSuffix.Length > 0;

    public void Tokenize(AlignedText word, TokenList output)
    {
        if (options.IgnoreMerges && Vocabulary.TryGetId(word.Chars, out var whole))
        {
            output.Add(whole, word.Source(0, word.Length));
            return;
        }
        if (seams is null || word.Length <= Seams.WorthLooking)
        {
            TokenizePart(word, output);
            return;
        }
        var start = 0;
        for (var end = seams.Next(word.Chars, 0); end > 0; end = seams.Next(word.Chars, start))
        {
            TokenizePart(word.Slice(start, end - start), output);
            start = end;
        }
        TokenizePart(word.Slice(start, word.Length - start), output);
    }

    private void TokenizePart(AlignedText word, TokenList output)
    {
        var found = word.Length <= CachedLength ? cache.Find(word.Chars) : null;
        if (found is null)
        {
            found = Merge(word.Chars);
            if (word.Length <= CachedLength) cache.Store(found);
        }
        if (!output.HasSpans)
        {
            output.AddRange(found.Ids);
            return;
        }
        for (var i = 0; i < found.Ids.Length; i++)
            output.Add(found.Ids[i], word.Source(found.Bounds[i].Start, found.Bounds[i].End));
    }

    private CachedWord Merge(ReadOnlySpan<char> word)
    {
        var symbols = new List<Symbol>(word.Length);
        AddSymbols(word, symbols);
        MergeLoop.Run(symbols, merges);
        var ids = new int[symbols.Count];
        var bounds = new (int, int)[symbols.Count];
        for (var i = 0; i < ids.Length; i++) (ids[i], bounds[i]) = (symbols[i].Id, (symbols[i].Start, symbols[i].End));
        return new(word.ToString(), ids, bounds);
    }

    private void AddSymbols(ReadOnlySpan<char> word, List<Symbol> symbols)
    {
        // Hugging Face adds a pending unknown token behind the bytes that follow it; so do we.
        Symbol? unknown = null;
        var position = 0;
        foreach (var rune in word.EnumerateRunes())
        {
            var end = position + rune.Utf16SequenceLength;
            if (TryGetId(rune, isFirst: position == 0, isLast: end == word.Length, out var id))
            {
                Flush();
                symbols.Add(new(id, position, end));
            }
            else if (idOfByte is null || !TryAddBytes(rune, position, end, symbols))
            {
                if (unknown is { } pending && options.FuseUnknown) unknown = pending with { End = end };
                else if (unknownId is { } unknownToken)
                {
                    Flush();
                    unknown = new(unknownToken, position, end);
                }
            }
            position = end;
        }
        Flush();

        void Flush()
        {
            if (unknown is { } pending) symbols.Add(pending);
            unknown = null;
        }
    }

    private bool TryGetId(Rune rune, bool isFirst, bool isLast, out int id)
    {
        if (!HasAffixes) return idOfRune.TryGetValue(rune.Value, out id);
        var token = $"{(isFirst ? "" : options.ContinuingSubwordPrefix)}{rune}{(isLast ? options.EndOfWordSuffix : "")}";
        return Vocabulary.TryGetId(token, out id);
    }

    private bool TryAddBytes(Rune rune, int start, int end, List<Symbol> symbols)
    {
        Span<byte> bytes = stackalloc byte[4];
        bytes = bytes[..rune.EncodeToUtf8(bytes)];
        foreach (var value in bytes)
            if (idOfByte![value] < 0) return false;
        foreach (var value in bytes) symbols.Add(new(idOfByte![value], start, end));
        return true;
    }

    private static bool IsOneRune(string token) => token.Length == 1 && !char.IsSurrogate(token[0])
        || token.Length == 2 && char.IsSurrogatePair(token[0], token[1]);

    private static int[] ByteIds(Vocabulary vocabulary) =>
        Enumerable.Range(0, 256).Select(b => vocabulary.IdOf($"<0x{b:X2}>") ?? -1).ToArray();
}
