using InteropInterp.Tokens.Text;

namespace InteropInterp.Tokens.Normalizers;

/// <summary>Takes whitespace away from the ends.</summary>
internal sealed class Strip(bool left, bool right) : INormalizer
{
    public AlignedText Normalize(AlignedText text)
    {
        var start = left ? text.Length - text.Chars.TrimStart().Length : 0;
        var end = right ? text.Chars.TrimEnd().Length : text.Length;
        return text.Slice(start, Math.Max(end - start, 0));
    }
}
