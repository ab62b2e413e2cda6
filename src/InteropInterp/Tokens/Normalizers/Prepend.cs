using InteropInterp.Tokens.Text;

namespace InteropInterp.Tokens.Normalizers;

/// <summary>Puts a mark in front of every text that is not empty; it stands for what the first character stands for.</summary>
internal sealed class Prepend(string mark) : INormalizer
{
    public AlignedText Normalize(AlignedText text) => To(text, mark);

    public static AlignedText To(AlignedText text, string mark)
    {
        if (text.Length == 0) return text;
        var builder = new AlignedTextBuilder(text.Length + mark.Length, text.HasSources);
        builder.Append(mark, text.Source(0));
        builder.Append(text);
        return builder.Build();
    }
}
