using System.Globalization;
using System.Text;
using InteropInterp.Tokens.Text;

namespace InteropInterp.Tokens.Normalizers;

/// <summary>Takes combining marks away (Mn, Mc, Me); meant to stand after NFD.</summary>
internal sealed class StripAccents : INormalizer
{
    public AlignedText Normalize(AlignedText text)
    {
        var builder = new AlignedTextBuilder(text.Length, text.HasSources);
        var position = 0;
        foreach (var rune in text.Chars.EnumerateRunes())
        {
            var isMark = Rune.GetUnicodeCategory(rune)
                is UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark;
            if (!isMark) builder.Append(rune, text.Source(position));
            position += rune.Utf16SequenceLength;
        }
        return builder.Build();
    }
}
