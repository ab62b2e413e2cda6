using System.Text.Json.Nodes;
using InteropInterp.Tokens;

namespace InteropInterp.Tests.Tokens.Support;

/// <summary>A tokenizer.json written by a test, so that one component of it can be looked at by itself.</summary>
internal static class TinyTokenizer
{
    /// <summary>Every word is one unknown token: the spans of the tokens are the words.</summary>
    public static ITokenizer ShowingWords(string preTokenizer) => Load(new JsonObject
    {
        ["pre_tokenizer"] = JsonNode.Parse(preTokenizer),
        ["model"] = JsonNode.Parse("""{"type":"BPE","unk_token":"<unk>","fuse_unk":true,"vocab":{"<unk>":0},"merges":[]}"""),
    });

    /// <summary>Every byte is a token: decoding shows the normalized text.</summary>
    public static ITokenizer ShowingText(string normalizer)
    {
        var vocabulary = new JsonObject();
        for (var b = 0; b < 256; b++) vocabulary[$"<0x{b:X2}>"] = b;
        return Load(new JsonObject
        {
            ["normalizer"] = JsonNode.Parse(normalizer),
            ["model"] = new JsonObject { ["type"] = "BPE", ["byte_fallback"] = true, ["vocab"] = vocabulary, ["merges"] = new JsonArray() },
            ["decoder"] = JsonNode.Parse("""{"type":"Sequence","decoders":[{"type":"ByteFallback"},{"type":"Fuse"}]}"""),
        });
    }

    public static ITokenizer Load(JsonNode json) => Load(json.ToJsonString());

    public static ITokenizer Load(string json)
    {
        using var folder = new TemporaryFolder();
        var file = folder.File("tokenizer.json");
        File.WriteAllText(file, json);
        return TokenizerLoader.FromFile(file);
    }

    /// <summary>The words that a text is cut into.</summary>
    public static string[] Words(this ITokenizer tokenizer, string text)
    {
        var runes = text.EnumerateRunes().ToArray();
        return tokenizer.EncodeWithOffsets(text).Spans.Select(span => string.Concat(runes[span.Start..span.End])).ToArray();
    }
}
