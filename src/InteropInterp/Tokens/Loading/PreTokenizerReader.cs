using InteropInterp.Tokens.PreTokenizers;
using InteropInterp.Tokens.Text;

namespace InteropInterp.Tokens.Loading;

/// <summary>The "pre_tokenizer" of tokenizer.json.</summary>
internal static class PreTokenizerReader
{
    private static readonly Dictionary<string, Func<JsonPart, IPreTokenizer>> Types = new(StringComparer.Ordinal)
    {
        ["Sequence"] = part => new PreTokenizerSequence(part.Get("pretokenizers").Items().Select(Read).ToList()),
        ["ByteLevel"] = part => new ByteLevel(part.Flag("add_prefix_space", true), part.Flag("use_regex", true)),
        ["Split"] = part => new Split(NormalizerReader.PatternOf(part), Behavior(part.Get("behavior")), part.Flag("invert")),
        ["Digits"] = part => new Split(
            RuneMatcher.Numeric, part.Flag("individual_digits") ? SplitBehavior.Isolated : SplitBehavior.Contiguous),
        ["Punctuation"] = part => new Split(
            RuneMatcher.Punctuation, part.Find("behavior") is { } behavior ? Behavior(behavior) : SplitBehavior.Isolated),
        ["Whitespace"] = _ => new Split(RegexMatcher.FromRuby(@"\w+|[^\w\s]+"), SplitBehavior.Removed, invert: true),
        ["WhitespaceSplit"] = _ => new Split(RuneMatcher.WhiteSpace, SplitBehavior.Removed),
        ["CharDelimiterSplit"] = part => new Split(new LiteralMatcher(part.Get("delimiter").Text()), SplitBehavior.Removed),
        ["Metaspace"] = part => new Metaspace(Mark(part), Scheme(part), part.Flag("split", true)),
    };

    public static IPreTokenizer Read(JsonPart part)
    {
        var type = part.Get("type").Text();
        return Types.TryGetValue(type, out var read) ? read(part) : throw part.Unsupported("pre-tokenizer", type, Types.Keys);
    }

    /// <summary>The mark of a Metaspace pre-tokenizer or decoder.</summary>
    public static char Mark(JsonPart part)
    {
        var text = part.Text("replacement", "▁");
        return text.Length == 1 ? text[0] : throw part.Invalid($"the replacement '{text}' is not one character.");
    }

    /// <summary>When a mark is put in front; older files say add_prefix_space.</summary>
    public static PrependScheme Scheme(JsonPart part)
    {
        if (part.Find("prepend_scheme") is { } scheme)
            return scheme.Text() switch
            {
                "always" => PrependScheme.Always,
                "never" => PrependScheme.Never,
                "first" => PrependScheme.First,
                var other => throw part.Invalid($"the prepend_scheme '{other}' is none of always, never, first."),
            };
        return part.Flag("add_prefix_space", true) ? PrependScheme.Always : PrependScheme.Never;
    }

    private static SplitBehavior Behavior(JsonPart part)
    {
        var name = part.Text();
        return Enum.TryParse<SplitBehavior>(name, out var behavior) && Enum.IsDefined(behavior)
            ? behavior
            : throw part.Invalid($"the behavior '{name}' is none of {string.Join(", ", Enum.GetNames<SplitBehavior>())}.");
    }
}
