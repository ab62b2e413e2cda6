using System.Text;
using InteropInterp.Tokens.Normalizers;
using InteropInterp.Tokens.Text;

namespace InteropInterp.Tokens.Loading;

/// <summary>The "normalizer" of tokenizer.json.</summary>
internal static class NormalizerReader
{
    private static readonly Dictionary<string, Func<JsonPart, INormalizer>> Types = new(StringComparer.Ordinal)
    {
        ["Sequence"] = part => new NormalizerSequence(part.Get("normalizers").Items().Select(Read).ToList()),
        ["NFC"] = _ => new UnicodeForm(NormalizationForm.FormC),
        ["NFD"] = _ => new UnicodeForm(NormalizationForm.FormD),
        ["NFKC"] = _ => new UnicodeForm(NormalizationForm.FormKC),
        ["NFKD"] = _ => new UnicodeForm(NormalizationForm.FormKD),
        ["Lowercase"] = _ => new Lowercase(),
        ["Prepend"] = part => new Prepend(part.Get("prepend").Text()),
        ["Replace"] = part => new Replace(PatternOf(part), part.Get("content").Text()),
        ["Strip"] = part => new Strip(part.Flag("strip_left", true), part.Flag("strip_right", true)),
        ["StripAccents"] = _ => new StripAccents(),
    };

    public static INormalizer Read(JsonPart part)
    {
        var type = part.Get("type").Text();
        return Types.TryGetValue(type, out var read) ? read(part) : throw part.Unsupported("normalizer", type, Types.Keys);
    }

    /// <summary>A "pattern": {"String": ...} or {"Regex": ...}.</summary>
    public static IMatcher PatternOf(JsonPart part)
    {
        var pattern = part.Get("pattern");
        if (pattern.Find("String") is { } literal) return new LiteralMatcher(literal.Text());
        return RegexMatcher.FromRuby(pattern.Get("Regex").Text());
    }
}
