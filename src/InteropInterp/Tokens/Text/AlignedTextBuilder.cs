using System.Text;

namespace InteropInterp.Tokens.Text;

/// <summary>Writes a changed text; each unit says what it stands for.</summary>
internal sealed class AlignedTextBuilder(int capacity, bool withSources)
{
    private char[] chars = new char[Math.Max(capacity, 16)];
    private TextSpan[]? sources = withSources ? new TextSpan[Math.Max(capacity, 16)] : null;

    public int Length { get; private set; }

    public void Append(char c, TextSpan source)
    {
        if (Length == chars.Length) Grow(1);
        chars[Length] = c;
        if (sources is not null) sources[Length] = source;
        Length++;
    }

    public void Append(Rune rune, TextSpan source)
    {
        if (rune.IsBmp)
        {
            Append((char)rune.Value, source);
            return;
        }
        Span<char> pair = stackalloc char[2];
        rune.EncodeToUtf16(pair);
        Append(pair[0], source);
        Append(pair[1], source);
    }

    public void Append(string text, TextSpan source)
    {
        foreach (var c in text) Append(c, source);
    }

    public void Append(AlignedText text)
    {
        if (Length + text.Length > chars.Length) Grow(text.Length);
        text.Chars.CopyTo(chars.AsSpan(Length));
        if (sources is not null)
            for (var i = 0; i < text.Length; i++) sources[Length + i] = text.Source(i);
        Length += text.Length;
    }

    public AlignedText Build() => new(chars, sources, 0, Length);

    private void Grow(int more)
    {
        var size = Math.Max(chars.Length * 2, chars.Length + more);
        Array.Resize(ref chars, size);
        if (sources is not null) Array.Resize(ref sources, size);
    }
}
