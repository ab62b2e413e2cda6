using System.Text;
using InteropInterp.Tensors;
using InteropInterp.Tokens.Normalizers;
using InteropInterp.Tokens.PreTokenizers;
using InteropInterp.Tokens.Text;

namespace InteropInterp.Tokens.Loading;

/// <summary>What a name in tokenizer.ggml.pre stands for.</summary>
internal sealed record GgufPreTokenizer(IPreTokenizer PreTokenizer, INormalizer? Normalizer)
{
    public bool IgnoresMerges { get; init; }

    /// <summary>A text begins with BOS where the file does not say.</summary>
    public bool AddsBos { get; init; }
}

/// <summary>
/// The names in tokenizer.ggml.pre (src/llama-vocab.cpp of ggml-org/llama.cpp), each as the normalizer and pre-tokenizer of the
/// tokenizer.json that such a GGUF is made from.
/// </summary>
internal static class GgufPreTokenizers
{
    private const string Contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
    private const string Word = @"[^\r\n\p{L}\p{N}]?\p{L}+";
    private const string CapitalWord = @"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+";
    private const string AllCapitals = @"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*";
    private const string Symbols = @" ?[^\s\p{L}\p{N}]+[\r\n]*";
    private const string SymbolsAndSlash = @" ?[^\s\p{L}\p{N}]+[\r\n/]*";
    private const string Spaces = @"\s*[\r\n]+|\s+(?!\S)|\s+";

    private static readonly Dictionary<string, Func<GgufPreTokenizer>> Names = Table(
        (["gpt-2", "gpt2"], () => Of(Gpt2())),
        (["olmo"], () => Of(Gpt2()) with { Normalizer = Nfc }),
        (["smollm", "starcoder"], () => Of(Digits(), Gpt2())),
        (["falcon"], () => Of(new Split(RuneMatcher.Punctuation, SplitBehavior.Contiguous), Gpt2(),
            new Split(RuneMatcher.Numeric, SplitBehavior.Contiguous), Regex("[0-9][0-9][0-9]"))),
        (["llama3", "llama-v3", "llama-bpe"], () => Of(Regex(Contractions, Word, @"\p{N}{1,3}", Symbols, Spaces), Bytes()) with
        {
            IgnoresMerges = true,
            AddsBos = true,
        }),
        (["qwen2"], () => Of(Regex(Contractions, Word, @"\p{N}", Symbols, Spaces), Bytes()) with { Normalizer = Nfc }),
        (["tekken"], () => Of(Regex(CapitalWord, AllCapitals, @"\p{N}", SymbolsAndSlash, Spaces), Bytes()) with
        {
            IgnoresMerges = true,
            AddsBos = true,
        }),
        (["gpt-4o"], () => Of(
            Regex(CapitalWord + Contractions + "?", AllCapitals + Contractions + "?", @"\p{N}{1,3}", SymbolsAndSlash, Spaces), Bytes())),
        (["deepseek-llm"], () => Of(
            Regex(@"[\r\n]"), Regex(@"\s?\p{L}+"), Regex(@"\s?\p{P}+"), Regex("[一-龥ࠀ-一가-\uD7FF]+"), Digits(), Bytes())),
        (["deepseek-v3"], () => Of(
            Regex(@"\p{N}{1,3}"),
            Regex("[一-龥぀-ゟ゠-ヿ]+"),
            Regex(
                @"[!""#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+", @"[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+",
                @" ?[\p{P}\p{S}]+[\r\n]*", Spaces),
            Bytes())),
        (["bloom"], () => Of(Regex(@" ?[^(\s|[.,!?…。，、।۔،])]+"), Bytes())));

    private static UnicodeForm Nfc => new(NormalizationForm.FormC);

    /// <exception cref="InterpException">TOKENIZER_COMPONENT_UNSUPPORTED.</exception>
    public static GgufPreTokenizer Find(string name) => Names.TryGetValue(name, out var create)
        ? create()
        : throw new InterpException(ErrorCode.Unimplemented, "TOKENIZER_COMPONENT_UNSUPPORTED",
            $"The GGUF names the pre-tokenizer {Quoted.Name(name)} (tokenizer.ggml.pre), which is not read. " +
            $"Supported are: {string.Join(", ", Names.Keys)}.");

    private static GgufPreTokenizer Of(params IReadOnlyList<IPreTokenizer> steps) => new(new PreTokenizerSequence(steps), Normalizer: null);

    private static ByteLevel Gpt2() => new(addPrefixSpace: false, useRegex: true);

    private static ByteLevel Bytes() => new(addPrefixSpace: false, useRegex: false);

    private static Split Digits() => new(RuneMatcher.Numeric, SplitBehavior.Isolated);

    private static Split Regex(params IEnumerable<string> alternatives) =>
        new(RegexMatcher.FromRuby(string.Join('|', alternatives)), SplitBehavior.Isolated);

    private static Dictionary<string, Func<GgufPreTokenizer>> Table(
        params IEnumerable<(string[] Names, Func<GgufPreTokenizer> Create)> rows) =>
        rows.SelectMany(row => row.Names.Select(name => (Name: name, row.Create)))
            .ToDictionary(row => row.Name, row => row.Create, StringComparer.Ordinal);
}
