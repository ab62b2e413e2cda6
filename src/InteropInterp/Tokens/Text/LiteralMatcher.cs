namespace InteropInterp.Tokens.Text;

/// <summary>Every occurrence of a string.</summary>
internal sealed class LiteralMatcher(string literal) : IMatcher
{
    public void FindMatches(ReadOnlySpan<char> text, List<TextSpan> matches)
    {
        if (literal.Length == 0) return;
        var from = 0;
        while (text[from..].IndexOf(literal, StringComparison.Ordinal) is var found and >= 0)
        {
            matches.Add(new(from + found, from + found + literal.Length));
            from += found + literal.Length;
        }
    }
}
