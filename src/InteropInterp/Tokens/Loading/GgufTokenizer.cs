using InteropInterp.Tensors;
using InteropInterp.Tokens.AddedTokens;
using InteropInterp.Tokens.Decoders;
using InteropInterp.Tokens.Models;
using InteropInterp.Tokens.PostProcessors;

namespace InteropInterp.Tokens.Loading;

/// <summary>
/// The tokenizer in the metadata of a GGUF (keys tokenizer.ggml.*; docs/gguf.md of ggml-org/ggml): GPT-2's byte-level BPE or
/// Llama's SentencePiece.
/// </summary>
internal sealed class GgufTokenizer(IReadOnlyDictionary<string, object> metadata)
{
    private const string Source = "the GGUF's tokenizer";
    private const string Prefix = "tokenizer.ggml.";
    private static readonly string[] Models = ["gpt2", "llama"];

    /// <exception cref="InterpException">
    /// TOKENIZER_NOT_FOUND, TOKENIZER_COMPONENT_UNSUPPORTED, TOKENIZER_FILE_INVALID and others.
    /// </exception>
    public ITokenizer Build()
    {
        var model = Find<string>("model") ?? throw InterpException.NotFound("TOKENIZER_NOT_FOUND",
            $"The GGUF has no tokenizer: its metadata has no {Prefix}model.");
        return model switch
        {
            "gpt2" => ByteLevelBpe(),
            "llama" => SentencePiece(),
            _ => throw new InterpException(ErrorCode.Unimplemented, "TOKENIZER_COMPONENT_UNSUPPORTED",
                $"The GGUF's tokenizer model {Quoted.Name(model)} is not read. Supported are: {string.Join(", ", Models)}."),
        };
    }

    private ITokenizer SentencePiece()
    {
        var tokens = Get<string[]>("tokens");
        var scores = SameLength(Get<float[]>("scores"), tokens, "scores");
        var types = Types(tokens);
        return new SentencePieces(Source, tokens.Select((token, i) => new Piece(token, scores[i], (PieceType)types[i])).ToList())
        {
            AddsPrefixSpace = Flag("add_space_prefix") ?? true,
            AddsBos = Flag("add_bos_token") ?? true,
            AddsEos = Flag("add_eos_token") ?? false,
        }.Build(Special(tokens));
    }

    private PipelineTokenizer ByteLevelBpe()
    {
        var tokens = Get<string[]>("tokens");
        var types = Types(tokens);
        var parts = GgufPreTokenizers.Find(Find<string>("pre") ?? "default");
        var own = Vocabulary.Create(tokens.Select((token, id) => KeyValuePair.Create(token, id)), Source);
        var pairs = Get<string[]>("merges").Select(merge => ModelReader.Pair(merge, Invalid));
        var merges = MergeTable.FromPairs(pairs, own, prefix: "", Source);
        var added = tokens.Select((token, id) => new AddedToken(token, id, Special: types[id] == (int)PieceType.Control))
            .Where(token => types[token.Id] is (int)PieceType.Control or (int)PieceType.UserDefined).ToList();
        var special = Special(tokens);
        var before = (Flag("add_bos_token") ?? parts.AddsBos) && special.Bos is { } bos ? [bos] : Array.Empty<int>();
        var after = Flag("add_eos_token") == true && special.Eos is { } eos ? [eos] : Array.Empty<int>();
        return new(
            new Bpe(own, merges, new() { IgnoreMerges = parts.IgnoresMerges }, Source), own,
            new AddedTokenSet(added, parts.Normalizer), parts.PreTokenizer, new Template(before, after), new ByteLevelDecoder(), special);
    }

    private SpecialTokens Special(string[] tokens)
    {
        return new(Id("bos"), Id("eos"), Id("padding"), Id("unknown"), DeclinesBos: Flag("add_bos_token") == false);

        int? Id(string role) => metadata.GetValueOrDefault($"{Prefix}{role}_token_id") switch
        {
            null => null,
            long id when id >= 0 && id < tokens.Length => (int)id,
            var other => throw Invalid($"{Prefix}{role}_token_id is {other}, which is no token of 0..{tokens.Length - 1}."),
        };
    }

    private int[] Types(string[] tokens) => Find<int[]>("token_type") is { } types
        ? SameLength(types, tokens, "token_type")
        : Enumerable.Repeat((int)PieceType.Normal, tokens.Length).ToArray();

    private static T[] SameLength<T>(T[] values, string[] tokens, string name) => values.Length == tokens.Length
        ? values
        : throw Invalid($"{Prefix}{name} has {values.Length} entries for {tokens.Length} tokens.");

    private bool? Flag(string name) => metadata.ContainsKey(Prefix + name) ? Get<bool>(name) : null;

    private T Get<T>(string name) => metadata.TryGetValue(Prefix + name, out var value)
        ? value is T typed ? typed : throw Invalid($"{Prefix}{name} is a {value.GetType().Name}, expected a {typeof(T).Name}.")
        : throw Invalid($"{Prefix}{name} is absent.");

    private T? Find<T>(string name) where T : class => metadata.ContainsKey(Prefix + name) ? Get<T>(name) : null;

    private static InterpException Invalid(string message) =>
        InterpException.DataLoss("TOKENIZER_FILE_INVALID", $"The GGUF's metadata: {message}");
}
