using InteropInterp.Tokens.Normalizers;
using InteropInterp.Tokens.Text;

namespace InteropInterp.Tokens.AddedTokens;

/// <summary>
/// All added tokens of a tokenizer: those that are not normalized are found in the text as given, then the others in what the
/// normalizer makes of the parts between.
/// </summary>
internal sealed class AddedTokenSet
{
    private readonly AddedTokenMatcher raw, normalized;
    private readonly INormalizer? normalizer;
    private readonly HashSet<string> special;

    public AddedTokenSet(IReadOnlyList<AddedToken> tokens, INormalizer? normalizer)
    {
        this.normalizer = normalizer;
        Tokens = tokens;
        special = tokens.Where(t => t.Special).Select(t => t.Content).ToHashSet(StringComparer.Ordinal);
        // Special tokens are entered before the others.
        var ordered = tokens.OrderByDescending(t => t.Special).ToList();
        raw = new(ordered.Where(t => !t.Normalized).Select(t => (t.Content, t)));
        normalized = new(ordered.Where(t => t.Normalized).Select(t => (TextOf(t), t)));
    }

    public IReadOnlyList<AddedToken> Tokens { get; }

    /// <summary>
    /// The text of a token is that of a special one. By its text, as Hugging Face's tokenizers have it: a special token that the
    /// normalizer changes is not skipped when decoding.
    /// </summary>
    public bool IsSpecial(string text) => special.Contains(text);

    /// <summary>What a token is looked for as, and what it decodes to: its content, normalized if it says so.</summary>
    public string TextOf(AddedToken token) => normalizer is null || !token.Normalized
        ? token.Content
        : normalizer.Normalize(AlignedText.From(token.Content, withSources: false)).Chars.ToString();

    /// <summary>A model's vocabulary with these tokens in it.</summary>
    public Vocabulary AddTo(Vocabulary vocabulary) =>
        vocabulary.With(Tokens.Select(token => (token.Content, token.Id, TextOf(token))).ToList());

    /// <summary>Adds the added tokens of a text to a list and hands what lies between, normalized, on.</summary>
    /// <param name="between">Takes a text and whether it stands at the start of the whole.</param>
    public void Split(AlignedText text, TokenList output, Action<AlignedText, bool> between)
    {
        foreach (var (start, end, id) in raw.Split(text.Chars))
        {
            var part = text.Slice(start, end - start);
            if (id is { } found) Add(part, found, output);
            else SplitNormalized(normalizer?.Normalize(part) ?? part, isAtStart: start == 0, output, between);
        }
    }

    private void SplitNormalized(AlignedText text, bool isAtStart, TokenList output, Action<AlignedText, bool> between)
    {
        foreach (var (start, end, id) in normalized.Split(text.Chars))
        {
            var part = text.Slice(start, end - start);
            if (id is { } found) Add(part, found, output);
            else between(part, isAtStart && start == 0);
        }
    }

    private static void Add(AlignedText part, int id, TokenList output) =>
        output.Add(id, part.Source(0, part.Length), output.HasSpans ? part.Chars.ToString() : null);
}
