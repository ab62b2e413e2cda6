using InteropInterp.Tokens.Loading;

namespace InteropInterp.Tokens;

/// <summary>Reads tokenizers: Hugging Face's tokenizer.json, GPT-2's two files, SentencePiece models, the one inside a GGUF.</summary>
public static class TokenizerLoader
{
    private static readonly (string Vocabulary, string Merges)[] Gpt2Names = [("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe")];

    /// <summary>
    /// The tokenizer of a model folder: tokenizer.json, else GPT-2's two files under either of their names, else SentencePiece's
    /// tokenizer.model. tokenizer_config.json, special_tokens_map.json and generation_config.json say which tokens are BOS, EOS
    /// and padding.
    /// </summary>
    /// <exception cref="InterpException">
    /// TOKENIZER_NOT_FOUND; TOKENIZER_COMPONENT_UNSUPPORTED; JSON_INVALID and others for a broken file.
    /// </exception>
    public static ITokenizer FromFolder(string folder)
    {
        if (!Directory.Exists(folder)) throw InterpException.NotFound("FOLDER_NOT_FOUND", $"There is no folder '{folder}'.");
        var special = SpecialTokenFiles.FromFolder(folder);
        var json = Path.Combine(folder, "tokenizer.json");
        if (File.Exists(json)) return TokenizerJson.Read(json, special);
        foreach (var (vocabulary, merges) in Gpt2Names)
            if (File.Exists(Path.Combine(folder, vocabulary)) && File.Exists(Path.Combine(folder, merges)))
                return Gpt2Files.Read(Path.Combine(folder, vocabulary), Path.Combine(folder, merges), special);
        var sentencePiece = Path.Combine(folder, "tokenizer.model");
        if (File.Exists(sentencePiece)) return SentencePieceModel.Read(sentencePiece);
        throw InterpException.NotFound("TOKENIZER_NOT_FOUND",
            $"'{folder}' has no tokenizer: looked for tokenizer.json, tokenizer.model, " +
            $"{string.Join(" and ", Gpt2Names.Select(n => $"{n.Vocabulary} with {n.Merges}"))}.");
    }

    /// <summary>A tokenizer.json alone: what it does not say (EOS, padding) stays unknown.</summary>
    /// <exception cref="InterpException">As <see cref="FromFolder"/>.</exception>
    public static ITokenizer FromFile(string tokenizerJson) => TokenizerJson.Read(tokenizerJson, SpecialTokenFiles.None);

    /// <summary>GPT-2's two files alone, under whatever names.</summary>
    /// <exception cref="InterpException">As <see cref="FromFolder"/>.</exception>
    public static ITokenizer FromVocabularyAndMerges(string vocab, string merges) =>
        Gpt2Files.Read(vocab, merges, SpecialTokenFiles.None);

    /// <summary>The tokenizer inside a GGUF.</summary>
    /// <param name="metadata">
    /// tokenizer.ggml.* to string, bool, long, string[], float[] or int[]: what <see cref="Tensors.Gguf.GgufFile.Values"/> gives.
    /// </param>
    /// <exception cref="InterpException">
    /// TOKENIZER_NOT_FOUND, TOKENIZER_COMPONENT_UNSUPPORTED, TOKENIZER_FILE_INVALID and others.
    /// </exception>
    public static ITokenizer FromGguf(IReadOnlyDictionary<string, object> metadata) => new GgufTokenizer(metadata).Build();
}
