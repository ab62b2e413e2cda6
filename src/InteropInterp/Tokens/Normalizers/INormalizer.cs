using InteropInterp.Tokens.Text;

namespace InteropInterp.Tokens.Normalizers;

/// <summary>Changes a text before it is cut into words. Immutable; safe for many threads.</summary>
internal interface INormalizer
{
    /// <summary>The changed text; the same view where there is nothing to change.</summary>
    AlignedText Normalize(AlignedText text);
}
