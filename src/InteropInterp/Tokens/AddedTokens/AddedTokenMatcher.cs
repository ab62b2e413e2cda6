using System.Buffers;
using System.Globalization;
using System.Text;

namespace InteropInterp.Tokens.AddedTokens;

/// <summary>A part of a text: an added token, or (id null) what lies between two. UTF-16 units [Start, End).</summary>
internal readonly record struct Section(int Start, int End, int? Id);

/// <summary>Finds added tokens in a text: the leftmost match, of those the longest.</summary>
internal sealed class AddedTokenMatcher
{
    private readonly SearchValues<string> contents;
    private readonly Dictionary<char, (string Content, AddedToken Token)[]> byFirst;

    /// <param name="tokens">Each with the text to look for: its content, or the normalized content.</param>
    public AddedTokenMatcher(IEnumerable<(string Content, AddedToken Token)> tokens)
    {
        // Of two tokens that normalize to the same text the first one counts.
        var distinct = tokens.Where(t => t.Content.Length > 0).DistinctBy(t => t.Content, StringComparer.Ordinal).ToList();
        contents = SearchValues.Create(distinct.Select(t => t.Content).ToArray(), StringComparison.Ordinal);
        byFirst = distinct.GroupBy(t => t.Content[0]).ToDictionary(g => g.Key, g => g.OrderByDescending(t => t.Content.Length).ToArray());
    }

    /// <summary>The whole text as sections; one without id for a text with no added token in it.</summary>
    public List<Section> Split(ReadOnlySpan<char> text)
    {
        var sections = new List<Section>();
        var done = 0;
        for (var from = 0; from < text.Length && byFirst.Count > 0;)
        {
            var found = text[from..].IndexOfAny(contents);
            if (found < 0) break;
            var start = from + found;
            var (content, token) = LongestAt(text[start..]);
            var end = from = start + content.Length;
            if (token.SingleWord && (EndsInWord(text[..start]) || StartsWithWord(text[end..]))) continue;
            if (token.StripLeft) start = Math.Max(text[..start].TrimEnd().Length, done);
            if (token.StripRight) end = text.Length - text[end..].TrimStart().Length;
            if (start > done) sections.Add(new(done, start, null));
            sections.Add(new(start, end, token.Id));
            done = end;
        }
        if (done < text.Length) sections.Add(new(done, text.Length, null));
        return sections;
    }

    private (string Content, AddedToken Token) LongestAt(ReadOnlySpan<char> text)
    {
        foreach (var candidate in byFirst[text[0]])
            if (text.StartsWith(candidate.Content, StringComparison.Ordinal)) return candidate;
        throw new InterpException(ErrorCode.Internal, "ADDED_TOKEN_LOST", "A match of an added token begins with none of them.");
    }

    private static bool EndsInWord(ReadOnlySpan<char> text) =>
        Rune.DecodeLastFromUtf16(text, out var rune, out _) == OperationStatus.Done && IsWord(rune);

    private static bool StartsWithWord(ReadOnlySpan<char> text) =>
        Rune.DecodeFromUtf16(text, out var rune, out _) == OperationStatus.Done && IsWord(rune);

    private static bool IsWord(Rune rune) => Rune.IsLetter(rune) || Rune.GetUnicodeCategory(rune)
        is UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark
        or UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.ConnectorPunctuation;
}
