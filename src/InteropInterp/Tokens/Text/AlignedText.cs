namespace InteropInterp.Tokens.Text;

/// <summary>
/// A stretch of text on its way through the pipeline, in UTF-16, and for each unit which code points of the original text it
/// stands for (only where offsets are asked for). A view: slices share their memory.
/// </summary>
internal readonly struct AlignedText
{
    private readonly char[] chars;
    private readonly TextSpan[]? sources;
    private readonly int start;

    public AlignedText(char[] chars, TextSpan[]? sources, int start, int length)
    {
        this.chars = chars;
        this.sources = sources;
        this.start = start;
        Length = length;
    }

    public int Length { get; }

    public bool HasSources => sources is not null;

    public ReadOnlySpan<char> Chars => chars.AsSpan(start, Length);

    /// <summary>A text as it was given. Lone surrogates become U+FFFD, as they do on their way to UTF-8.</summary>
    public static AlignedText From(string text, bool withSources)
    {
        var chars = text.ToCharArray();
        if (chars.AsSpan().ContainsAnyInRange('\uD800', '\uDFFF')) ReplaceLoneSurrogates(chars);
        return new(chars, withSources ? CodePoints(chars) : null, 0, chars.Length);
    }

    public AlignedText Slice(int from, int length) => new(chars, sources, start + from, length);

    /// <summary>What one unit stands for; nothing where sources are not kept.</summary>
    public TextSpan Source(int index) => sources is null ? default : sources[start + index];

    /// <summary>What the units from..to stand for.</summary>
    public TextSpan Source(int from, int to) =>
        sources is null || from >= to ? default : new(sources[start + from].Start, sources[start + to - 1].End);

    private static void ReplaceLoneSurrogates(Span<char> chars)
    {
        for (var i = 0; i < chars.Length; i++)
        {
            if (!char.IsSurrogate(chars[i])) continue;
            if (i + 1 < chars.Length && char.IsSurrogatePair(chars[i], chars[i + 1])) i++;
            else chars[i] = '\uFFFD';
        }
    }

    private static TextSpan[] CodePoints(ReadOnlySpan<char> chars)
    {
        var spans = new TextSpan[chars.Length];
        var codePoint = -1;
        for (var i = 0; i < chars.Length; i++)
        {
            if (!char.IsLowSurrogate(chars[i])) codePoint++;
            spans[i] = new(codePoint, codePoint + 1);
        }
        return spans;
    }
}
