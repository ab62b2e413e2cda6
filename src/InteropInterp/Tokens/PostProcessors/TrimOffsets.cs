using InteropInterp.Tokens.Text;

namespace InteropInterp.Tokens.PostProcessors;

/// <summary>Takes the whitespace at a token's ends out of its span.</summary>
/// <param name="vocabulary">The texts of the tokens.</param>
/// <param name="addPrefixSpace">A single space at the very start was put there, so it takes no room in the text.</param>
internal sealed class TrimOffsets(Vocabulary vocabulary, bool addPrefixSpace) : IPostProcessor
{
    public IReadOnlyList<int> Before => [];

    public void Apply(TokenList tokens, bool addSpecialTokens)
    {
        if (!tokens.HasSpans) return;
        var spans = tokens.Spans;
        for (var i = 0; i < spans.Length; i++)
        {
            var text = tokens.MatchedText(i) ?? vocabulary.TokenOf(tokens.Id(i)) ?? "";
            var (start, end) = spans[i];
            var leading = text.TakeWhile(IsSpace).Count();
            var trailing = text.Reverse().TakeWhile(IsSpace).Count();
            if (leading == 1 && addPrefixSpace && (i == 0 || start == 0)) leading = 0;
            start = Math.Min(start + leading, end);
            if (trailing <= end) end = Math.Max(end - trailing, start);
            spans[i] = new(start, end);
        }
    }

    private static bool IsSpace(char c) => c == ByteAlphabet.Space || char.IsWhiteSpace(c);
}
