using System.Text.RegularExpressions;
using InteropInterp.Tokens.Normalizers;
using InteropInterp.Tokens.Text;

namespace InteropInterp.Tokens.PreTokenizers;

/// <summary>
/// GPT-2's cut into words, then every character as the stand-ins of its UTF-8 bytes. Source: openai/gpt-2, encoder.py.
/// </summary>
/// <param name="addPrefixSpace">Every word that comes in begins with a space, put there if need be.</param>
/// <param name="useRegex">False: the words are cut already.</param>
internal sealed partial class ByteLevel(bool addPrefixSpace, bool useRegex) : IPreTokenizer
{
    private static readonly RegexMatcher Gpt2 = new(Gpt2Pattern());

    public void Apply(Words words)
    {
        if (addPrefixSpace) words.Rewrite(words.Text.Length + words.Count, PrefixSpace);
        if (useRegex) words.Split(Gpt2, SplitBehavior.Isolated, invert: false);
        words.Rewrite(words.Text.Length + words.Text.Length / 8, ToBytes);
    }

    private static void PrefixSpace(AlignedText word, AlignedTextBuilder output) =>
        output.Append(word.Chars[0] == ' ' ? word : Prepend.To(word, " "));

    private static void ToBytes(AlignedText word, AlignedTextBuilder output)
    {
        var chars = word.Chars;
        Span<byte> bytes = stackalloc byte[4];
        for (var i = 0; i < chars.Length; i++)
        {
            var source = word.Source(i);
            if (chars[i] < 0x80)
            {
                output.Append(ByteAlphabet.ToChar((byte)chars[i]), source);
                continue;
            }
            var length = char.IsHighSurrogate(chars[i]) ? 2 : 1;
            var count = System.Text.Encoding.UTF8.GetBytes(chars.Slice(i, length), bytes);
            foreach (var value in bytes[..count]) output.Append(ByteAlphabet.ToChar(value), source);
            i += length - 1;
        }
    }

    [GeneratedRegex(@"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", RegexOptions.CultureInvariant)]
    private static partial Regex Gpt2Pattern();
}
