using System.Text;
using InteropInterp.Tokens.Normalizers;
using InteropInterp.Tokens.PreTokenizers;
using InteropInterp.Tokens.Text;

namespace InteropInterp.Tokens.Loading;

/// <summary>
/// What the name in tokenizer.ggml.pre stands for: the normalizer and pre-tokenizer of the tokenizer.json that the GGUF was made
/// from. Source of the names: src/llama-vocab.cpp of ggml-org/llama.cpp.
/// </summary>
internal static class GgufPreTokenizers
{
    private const string Llama3 = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    private static readonly string Qwen2 = Llama3.Replace(@"\p{N}{1,3}", @"\p{N}", StringComparison.Ordinal);

    private static readonly string[] DeepSeek3 =
    [
        @"\p{N}{1,3}", @"[一-龥぀-ゟ゠-ヿ]+",
        @"[!""#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ];

    private static readonly Dictionary<string, Func<Parts>> Names = Table(
        (["gpt-2", "gpt2", "phi-2", "mpt", "jais"], () => new(Gpt2())),
        (["olmo"], () => new(Gpt2(), Nfc)),
        (["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone"], () => new(Digits(), Gpt2())),
        (["llama3", "llama-v3", "llama-bpe"], () => new(Regexes(Llama3)) { IgnoresMerges = true, AddsBos = true }),
        (["dbrx", "smaug-bpe"], () => new(Regexes(Llama3))),
        (["qwen2", "stablelm2"], () => new(Regexes(Qwen2), Nfc)),
        (["deepseek-v3"], () => new(Regexes(DeepSeek3))));

    private static INormalizer Nfc => new UnicodeForm(NormalizationForm.FormC);

    public sealed record Parts(IPreTokenizer PreTokenizer, INormalizer? Normalizer = null)
    {
        public Parts(params IReadOnlyList<IPreTokenizer> steps) : this(new PreTokenizerSequence(steps)) { }

        public bool IgnoresMerges { get; init; }

        /// <summary>Where the file does not say.</summary>
        public bool AddsBos { get; init; }
    }

    /// <exception cref="InterpException">TOKENIZER_COMPONENT_UNSUPPORTED.</exception>
    public static Parts Find(string name) => Names.TryGetValue(name, out var parts)
        ? parts()
        : throw new InterpException(ErrorCode.Unimplemented, "TOKENIZER_COMPONENT_UNSUPPORTED",
            $"The GGUF names the pre-tokenizer '{name}' (tokenizer.ggml.pre), which is not read. Supported are: {string.Join(", ", Names.Keys)}.");

    private static ByteLevel Gpt2() => new(addPrefixSpace: false, useRegex: true);

    private static Split Digits() => new(RuneMatcher.Numeric, SplitBehavior.Isolated);

    private static PreTokenizerSequence Regexes(params IEnumerable<string> patterns) => new(
    [
        .. patterns.Select(pattern => new Split(RegexMatcher.FromRuby(pattern), SplitBehavior.Isolated)),
        new ByteLevel(addPrefixSpace: false, useRegex: false),
    ]);

    private static Dictionary<string, Func<Parts>> Table(params IEnumerable<(string[] Names, Func<Parts> Parts)> rows) =>
        rows.SelectMany(row => row.Names.Select(name => (name, row.Parts))).ToDictionary(row => row.name, row => row.Parts, StringComparer.Ordinal);
}
