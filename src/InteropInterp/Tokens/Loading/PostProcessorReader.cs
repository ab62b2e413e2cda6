using InteropInterp.Tokens.PostProcessors;

namespace InteropInterp.Tokens.Loading;

/// <summary>The "post_processor" of tokenizer.json.</summary>
internal sealed class PostProcessorReader
{
    private readonly Dictionary<string, Func<JsonPart, IPostProcessor>> types;
    private readonly Vocabulary vocabulary;

    public PostProcessorReader(Vocabulary vocabulary)
    {
        this.vocabulary = vocabulary;
        types = new(StringComparer.Ordinal)
        {
            ["Sequence"] = part => new PostProcessorSequence(part.Get("processors").Items().Select(Read).ToList()),
            ["ByteLevel"] = Trim,
            ["TemplateProcessing"] = ReadTemplate,
            ["BertProcessing"] = Around,
            ["RobertaProcessing"] = part => new PostProcessorSequence([Trim(part), Around(part)]),
        };
    }

    public IPostProcessor Read(JsonPart part)
    {
        var type = part.Get("type").Text();
        return types.TryGetValue(type, out var read) ? read(part) : throw part.Unsupported("post-processor", type, types.Keys);
    }

    private IPostProcessor Trim(JsonPart part) => part.Flag("trim_offsets", true)
        ? new TrimOffsets(vocabulary, part.Flag("add_prefix_space", true))
        : new PostProcessorSequence([]);

    private static Template Around(JsonPart part)
    {
        return new([Id("cls")], [Id("sep")]);

        int Id(string name) =>
            part.Get(name).Items() is [_, var id] ? id.Number() : throw part.Invalid($"{name} is not a token and its id.");
    }

    private static Template ReadTemplate(JsonPart part)
    {
        var before = new List<int>();
        var after = new List<int>();
        var texts = 0;
        foreach (var item in part.Get("single").Items())
        {
            if (item.Find("Sequence") is not null) texts++;
            else (texts == 0 ? before : after).AddRange(Ids(item.Get("SpecialToken").Get("id").Text()));
        }
        return texts == 1 ? new(before, after) : throw part.Invalid($"the template for one text names it {texts} times.");

        IEnumerable<int> Ids(string name) => part.Get("special_tokens").Get(name).Get("ids").Items().Select(id => id.Number());
    }
}
