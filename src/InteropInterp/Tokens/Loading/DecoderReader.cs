using InteropInterp.Tokens.Decoders;
using InteropInterp.Tokens.PreTokenizers;

namespace InteropInterp.Tokens.Loading;

/// <summary>The "decoder" of tokenizer.json.</summary>
internal static class DecoderReader
{
    private static readonly Dictionary<string, Func<JsonPart, IDecoder>> Types = new(StringComparer.Ordinal)
    {
        ["Sequence"] = part => new DecoderSequence(part.Get("decoders").Items().Select(Read).ToList()),
        ["ByteLevel"] = _ => new ByteLevelDecoder(),
        ["ByteFallback"] = _ => new ByteFallbackDecoder(),
        ["Fuse"] = _ => new Fuse(),
        ["Replace"] = part => MapDecoder.Replace(part.Get("pattern").Get("String").Text(), part.Get("content").Text()),
        ["Strip"] = part => MapDecoder.Strip(Character(part.Get("content")), part.Get("start").Number(), part.Get("stop").Number()),
        ["Metaspace"] = part => MapDecoder.Metaspace(
            PreTokenizerReader.Mark(part), PreTokenizerReader.Scheme(part) != PrependScheme.Never),
        ["BPEDecoder"] = part => MapDecoder.EndOfWord(part.Text("suffix", "</w>")),
    };

    public static IDecoder Read(JsonPart part)
    {
        var type = part.Get("type").Text();
        return Types.TryGetValue(type, out var read) ? read(part) : throw part.Unsupported("decoder", type, Types.Keys);
    }

    private static char Character(JsonPart part) =>
        part.Text() is [var c] ? c : throw part.Invalid($"'{part.Text()}' is not one character.");
}
