using System.Text;
using InteropInterp.Tokens.Text;

namespace InteropInterp.Tokens.Normalizers;

/// <summary>Unicode lower case, one code point at a time (no final sigma).</summary>
internal sealed class Lowercase : INormalizer
{
    public AlignedText Normalize(AlignedText text)
    {
        var builder = new AlignedTextBuilder(text.Length, text.HasSources);
        var position = 0;
        foreach (var rune in text.Chars.EnumerateRunes())
        {
            var source = text.Source(position);
            position += rune.Utf16SequenceLength;
            // The one code point whose lower case is two: İ.
            if (rune.Value == 0x130) builder.Append("i\u0307", source);
            else builder.Append(Rune.ToLowerInvariant(rune), source);
        }
        return builder.Build();
    }
}
