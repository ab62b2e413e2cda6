using System.Globalization;
using System.Text;

namespace InteropInterp.Tokens.Text;

/// <summary>Every code point of a kind, each a match of its own.</summary>
internal sealed class RuneMatcher(Predicate<Rune> predicate) : IMatcher
{
    /// <summary>Decimal digits, letter-like and other numbers (Nd, Nl, No): Rust's char::is_numeric.</summary>
    public static RuneMatcher Numeric { get; } = new(Rune.IsNumber);

    /// <summary>Unicode punctuation, and all of ASCII's (symbols such as "$" and "+" too).</summary>
    public static RuneMatcher Punctuation { get; } = new(IsPunctuation);

    public static RuneMatcher WhiteSpace { get; } = new(Rune.IsWhiteSpace);

    public void FindMatches(ReadOnlySpan<char> text, List<TextSpan> matches)
    {
        var position = 0;
        foreach (var rune in text.EnumerateRunes())
        {
            var end = position + rune.Utf16SequenceLength;
            if (predicate(rune)) matches.Add(new(position, end));
            position = end;
        }
    }

    private static bool IsPunctuation(Rune rune) => rune.IsAscii
        ? rune.Value is >= '!' and <= '/' or >= ':' and <= '@' or >= '[' and <= '`' or >= '{' and <= '~'
        : Rune.GetUnicodeCategory(rune) is >= UnicodeCategory.ConnectorPunctuation and <= UnicodeCategory.OtherPunctuation;
}
