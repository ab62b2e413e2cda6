using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace InteropInterp.Tokens.Text;

/// <summary>
/// The matches of a regular expression, which Oniguruma counts in code points and .NET in UTF-16 units. A text with characters
/// beyond U+FFFF is shown to .NET with one unit in the place of each: a character of the same general category that the
/// pattern does not name, so that every class treats it alike.
/// </summary>
internal sealed class RegexMatcher : IMatcher
{
    private const int CandidatesPerCategory = 64;

    private static readonly Lazy<Dictionary<UnicodeCategory, List<char>>> Candidates = new(FindCandidates);

    private readonly Regex regex;
    private readonly IReadOnlyList<(char Low, char High)> mentioned;
    private readonly ConcurrentDictionary<UnicodeCategory, char> standIns = new();

    /// <param name="regex">A pattern that names no letter or number one by one but ASCII's.</param>
    public RegexMatcher(Regex regex) : this(regex, [('\0', '\x7F')]) { }

    private RegexMatcher(Regex regex, IReadOnlyList<(char Low, char High)> mentioned)
    {
        this.regex = regex;
        this.mentioned = mentioned;
    }

    /// <summary>A pattern in Oniguruma's Ruby syntax.</summary>
    /// <exception cref="InterpException">REGEX_INVALID, REGEX_UNSUPPORTED.</exception>
    public static RegexMatcher FromRuby(string pattern)
    {
        var (translated, mentioned) = RubyPattern.Translate(pattern);
        try
        {
            return new(new Regex(translated, RegexOptions.Compiled | RegexOptions.CultureInvariant), mentioned);
        }
        catch (RegexParseException e)
        {
            throw InterpException.DataLoss("REGEX_INVALID", $"The regular expression '{pattern}': {e.Message}", e);
        }
    }

    public void FindMatches(ReadOnlySpan<char> text, List<TextSpan> matches)
    {
        if (text.ContainsAnyInRange('\uD800', '\uDFFF'))
        {
            FindInCodePoints(text, matches);
            return;
        }
        foreach (var match in regex.EnumerateMatches(text)) matches.Add(new(match.Index, match.Index + match.Length));
    }

    private void FindInCodePoints(ReadOnlySpan<char> text, List<TextSpan> matches)
    {
        var shown = new char[text.Length];
        var starts = new int[text.Length + 1];
        var count = 0;
        var position = 0;
        foreach (var rune in text.EnumerateRunes())
        {
            starts[count] = position;
            shown[count++] = rune.IsBmp ? (char)rune.Value : standIns.GetOrAdd(Rune.GetUnicodeCategory(rune), ChooseStandIn);
            position += rune.Utf16SequenceLength;
        }
        starts[count] = position;
        foreach (var match in regex.EnumerateMatches(shown.AsSpan(0, count)))
            matches.Add(new(starts[match.Index], starts[match.Index + match.Length]));
    }

    private char ChooseStandIn(UnicodeCategory category)
    {
        foreach (var candidate in Candidates.Value.GetValueOrDefault(category, []))
            if (!mentioned.Any(range => candidate >= range.Low && candidate <= range.High)) return candidate;
        throw new InterpException(ErrorCode.Unimplemented, "REGEX_UNSUPPORTED",
            $"The regular expression '{regex}' names so many characters that none is left to stand for {category} beyond U+FFFF.");
    }

    private static Dictionary<UnicodeCategory, List<char>> FindCandidates()
    {
        var found = new Dictionary<UnicodeCategory, List<char>>();
        // From the top: the rarest are there. None stands where whitespace or case could make a difference within a category.
        for (int c = char.MaxValue; c > 0x7F; c--)
        {
            var category = CharUnicodeInfo.GetUnicodeCategory((char)c);
            if (category == UnicodeCategory.Surrogate || char.IsWhiteSpace((char)c)) continue;
            if (!found.TryGetValue(category, out var list)) found[category] = list = [];
            if (list.Count < CandidatesPerCategory) list.Add((char)c);
        }
        return found;
    }
}
