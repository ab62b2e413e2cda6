namespace InteropInterp.Tokens.Text;

/// <summary>Finds what a pattern matches. Immutable; safe for many threads.</summary>
internal interface IMatcher
{
    /// <summary>Appends the matches in a text, left to right, not overlapping: [Start, End) in UTF-16 units.</summary>
    void FindMatches(ReadOnlySpan<char> text, List<TextSpan> matches);
}
