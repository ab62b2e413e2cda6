using InteropInterp.Tokens.Text;

namespace InteropInterp.Tokens.Normalizers;

/// <summary>Puts a content in the place of every match; it stands for what the match's last character stands for.</summary>
internal sealed class Replace(IMatcher matcher, string content) : INormalizer
{
    public AlignedText Normalize(AlignedText text)
    {
        var matches = new List<TextSpan>();
        matcher.FindMatches(text.Chars, matches);
        if (matches.Count == 0) return text;
        var builder = new AlignedTextBuilder(text.Length, text.HasSources);
        var copied = 0;
        foreach (var (start, end) in matches)
        {
            builder.Append(text.Slice(copied, start - copied));
            builder.Append(content, end > 0 ? text.Source(end - 1) : default);
            copied = end;
        }
        builder.Append(text.Slice(copied, text.Length - copied));
        return builder.Build();
    }
}
