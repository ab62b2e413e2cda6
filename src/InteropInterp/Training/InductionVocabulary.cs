using System.Text.Json;

namespace InteropInterp.Training;

/// <summary>
/// The 48 symbols of the induction model and its one special token, as a Hugging Face tokenizer that reads ordinary lower-case
/// text: a token is a character.
/// </summary>
public static class InductionVocabulary
{
    /// <summary>Token i is the character at i.</summary>
    public const string Symbols = "abcdefghijklmnopqrstuvwxyz0123456789 .,;:!?'\"-()";

    /// <summary>The id of BOS.</summary>
    public static int Bos => Symbols.Length;

    private const string BosToken = "<bos>";

    // Byte-level BPE writes a space so.
    private const char Space = 'Ġ';

    private static readonly JsonSerializerOptions Indented =
        new() { WriteIndented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Writes tokenizer.json and tokenizer_config.json.</summary>
    public static IEnumerable<(string Name, string Content)> Files()
    {
        var vocabulary = Symbols.Select((symbol, id) => (Token: $"{(symbol == ' ' ? Space : symbol)}", Id: id))
            .Append((Token: BosToken, Id: Bos)).ToDictionary(x => x.Token, x => x.Id);
        var bos = new
        {
            id = Bos, content = BosToken, single_word = false, lstrip = false, rstrip = false, normalized = false, special = true,
        };
        yield return ("tokenizer.json", JsonSerializer.Serialize(new
        {
            version = "1.0",
            added_tokens = new[] { bos },
            normalizer = new { type = "Lowercase" },
            pre_tokenizer = new { type = "ByteLevel", add_prefix_space = false, trim_offsets = true, use_regex = false },
            decoder = new { type = "ByteLevel" },
            // A character that is no symbol is read as a question mark: nothing vanishes.
            model = new
            {
                type = "BPE", unk_token = "?", fuse_unk = false, byte_fallback = false, vocab = vocabulary, merges = Array.Empty<string>(),
            },
        }, Indented));
        yield return ("tokenizer_config.json", JsonSerializer.Serialize(new
        {
            tokenizer_class = "PreTrainedTokenizerFast",
            bos_token = BosToken,
            eos_token = BosToken,
            pad_token = BosToken,
            model_max_length = InductionTrainerOptions.ContextLength,
        }, Indented));
    }
}
