using InteropInterp.Tokens.AddedTokens;

namespace InteropInterp.Tokens.Loading;

/// <summary>
/// Hugging Face's tokenizer.json, taken as it stands: what Tokenizer.from_file makes of it. (transformers 5 rebuilds parts of
/// some tokenizers from code and then gives other ids.)
/// </summary>
internal static class TokenizerJson
{
    /// <exception cref="InterpException">TOKENIZER_COMPONENT_UNSUPPORTED; TOKENIZER_FILE_INVALID and others for a broken file.</exception>
    public static ITokenizer Read(string file, SpecialTokenFiles special) => JsonPart.Read(file, root => Build(root, special));

    private static PipelineTokenizer Build(JsonPart root, SpecialTokenFiles special)
    {
        var model = ModelReader.Read(root.Get("model"));
        var added = root.Find("added_tokens")?.Items().Select(part => AddedTokenOf(part, part.Get("id").Number()))
            .Where(token => token.Content.Length > 0).ToList() ?? [];
        var normalizer = root.Find("normalizer") is { } n ? NormalizerReader.Read(n) : null;
        var addedTokens = new AddedTokenSet(added, normalizer);
        var vocabulary = addedTokens.AddTo(model.Vocabulary);
        var preTokenizer = root.Find("pre_tokenizer") is { } p ? PreTokenizerReader.Read(p) : null;
        var postProcessor = root.Find("post_processor") is { } q ? new PostProcessorReader(vocabulary).Read(q) : null;
        var decoder = root.Find("decoder") is { } d ? DecoderReader.Read(d) : null;
        return new(
            model, vocabulary, addedTokens, preTokenizer, postProcessor, decoder,
            special.Resolve(vocabulary, root.Get("model").Find("unk_token")?.Text(), postProcessor?.Before));
    }

    /// <summary>An entry of "added_tokens", or of "added_tokens_decoder" in tokenizer_config.json, where the id is the key.</summary>
    public static AddedToken AddedTokenOf(JsonPart part, int id)
    {
        if (id is < 0 or >= Vocabulary.MaxId) throw part.Invalid($"the id {id} is not in 0..{Vocabulary.MaxId - 1}.");
        var isSpecial = part.Flag("special");
        return new(
            part.Get("content").Text(), id, part.Flag("single_word"), part.Flag("lstrip"), part.Flag("rstrip"),
            part.Flag("normalized", !isSpecial), isSpecial);
    }
}
