using InteropInterp.Tokens.Text;

namespace InteropInterp.Tokens.Normalizers;

/// <summary>One after the other.</summary>
internal sealed class NormalizerSequence(IReadOnlyList<INormalizer> steps) : INormalizer
{
    public AlignedText Normalize(AlignedText text)
    {
        foreach (var step in steps) text = step.Normalize(text);
        return text;
    }
}
