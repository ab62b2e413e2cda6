using System.Globalization;
using InteropInterp.Tokens.AddedTokens;

namespace InteropInterp.Tokens.Loading;

/// <summary>
/// What the small files beside a tokenizer say: tokenizer_config.json first, special_tokens_map.json, then generation_config.json,
/// which has ids only.
/// </summary>
internal sealed class SpecialTokenFiles
{
    public static readonly string[] Roles = ["bos", "eos", "pad", "unk"];

    private readonly Dictionary<string, string> tokens = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> ids = new(StringComparer.Ordinal);

    private PaddingSide? padding;

    /// <summary>add_bos_token, where tokenizer_config.json says anything.</summary>
    public bool? AddsBos { get; private set; }

    public bool AddsEos { get; private set; }

    public bool AddsPrefixSpace { get; private set; }

    /// <summary>added_tokens_decoder: for tokenizers whose own files know no added tokens.</summary>
    public IReadOnlyList<AddedToken> AddedTokens { get; private set; } = [];

    /// <summary>For a tokenizer with no files beside it.</summary>
    public static SpecialTokenFiles None => new();

    public static SpecialTokenFiles FromFolder(string folder)
    {
        var files = new SpecialTokenFiles();
        Read(Path.Combine(folder, "tokenizer_config.json"), files.ReadConfig);
        Read(Path.Combine(folder, "special_tokens_map.json"), files.ReadTokens);
        Read(Path.Combine(folder, "generation_config.json"), files.ReadIds);
        return files;
    }

    /// <param name="unknown">The unknown token of the model.</param>
    /// <param name="before">What the template puts in front of a text: where no file names a BOS, a single token there is it.</param>
    public SpecialTokens Resolve(Vocabulary vocabulary, string? unknown, IReadOnlyList<int>? before)
    {
        return new(
            Id("bos") ?? (before is [var first] ? first : null), Id("eos"), Id("pad"),
            unknown is null ? Id("unk") : vocabulary.IdOf(unknown), AddsBos == false, padding);

        int? Id(string role) => tokens.TryGetValue(role, out var token) && vocabulary.IdOf(token) is { } named ? named
            : ids.TryGetValue(role, out var id) && (uint)id < (uint)vocabulary.Size ? id : null;
    }

    /// <summary>The token of one of the <see cref="Roles"/>.</summary>
    public string? TokenOf(string role) => tokens.GetValueOrDefault(role);

    private void ReadConfig(JsonPart root)
    {
        ReadTokens(root);
        AddsBos = root.Find("add_bos_token")?.Flag();
        AddsEos = root.Flag("add_eos_token");
        AddsPrefixSpace = root.Flag("add_prefix_space");
        if (root.Find("padding_side") is { } side) padding = side.Text() == "left" ? PaddingSide.Left : PaddingSide.Right;
        if (root.Find("added_tokens_decoder") is { } added)
            AddedTokens = added.Members().Select(member => TokenizerJson.AddedTokenOf(member.Value, IdOf(member))).ToList();
    }

    // A token is written as itself, or as an object with its content.
    private void ReadTokens(JsonPart root)
    {
        foreach (var role in Roles)
            if (root.Find($"{role}_token") is { } token)
                tokens.TryAdd(role, token.IsObject ? token.Get("content").Text() : token.Text());
    }

    // Several ids (of EOS): the first is the main one.
    private void ReadIds(JsonPart root)
    {
        foreach (var role in Roles)
            if (root.Find($"{role}_token_id") is { } id && (!id.IsArray || id.Items().Count > 0))
                ids.TryAdd(role, (id.IsArray ? id.Items()[0] : id).Number());
    }

    private static int IdOf(KeyValuePair<string, JsonPart> member) =>
        int.TryParse(member.Key, NumberStyles.None, CultureInfo.InvariantCulture, out var id)
            ? id
            : throw member.Value.Invalid("its name is not an id.");

    private static void Read(string file, Action<JsonPart> read)
    {
        if (!File.Exists(file)) return;
        JsonPart.Read(file, root =>
        {
            read(root);
            return true;
        });
    }
}
