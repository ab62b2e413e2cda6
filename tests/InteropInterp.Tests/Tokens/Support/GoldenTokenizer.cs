using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;

namespace InteropInterp.Tests.Tokens.Support;

/// <summary>A folder of shared/fixtures/tokenizers: a tokenizer and what Hugging Face's makes of some 150 texts.</summary>
internal sealed class GoldenTokenizer
{
    private readonly JsonElement root;
    private readonly JsonElement longTexts;

    public GoldenTokenizer(string name)
    {
        Folder = SharedFolder.Path("fixtures", "tokenizers", name);
        root = Parse(SharedFolder.Path("fixtures", "tokenizers", name, "golden.json"));
        longTexts = Parse(SharedFolder.Path("fixtures", "tokenizers", "long.json"));
    }

    public string Folder { get; }

    public JsonElement Head => root;

    public IEnumerable<JsonElement> Items => root.GetProperty("items").EnumerateArray();

    public string TextOf(JsonElement item) => item.TryGetProperty("text", out var text)
        ? text.GetString()!
        : longTexts.GetProperty(item.GetProperty("name").GetString()!).GetString()!;

    /// <summary>The ids of a text, of which golden.json keeps only a few and a hash where the text is long.</summary>
    public void AssertIds(JsonElement item, int[] ids)
    {
        if (item.TryGetProperty("ids", out var expected))
        {
            Assert.True(Ints(expected).SequenceEqual(ids), $"{TextOf(item)}: expected {expected.GetRawText()}, found {Join(ids)}");
            return;
        }
        var kept = item.GetProperty("ids_long");
        Assert.Equal(kept.GetProperty("n").GetInt32(), ids.Length);
        Assert.Equal(Ints(kept.GetProperty("first")), ids.Take(20));
        Assert.Equal(Ints(kept.GetProperty("last")), ids.TakeLast(20));
        Assert.Equal(kept.GetProperty("sha256").GetString(), Sha256(Join(ids)));
    }

    public static JsonElement Parse(string file) => ParseText(File.ReadAllText(file));

    public static JsonElement ParseText(string json)
    {
        using var document = JsonDocument.Parse(json);
        return document.RootElement.Clone();
    }

    public static int[] Ints(JsonElement element) => element.EnumerateArray().Select(x => x.GetInt32()).ToArray();

    public static string[] Strings(JsonElement element) => element.EnumerateArray().Select(x => x.GetString()!).ToArray();

    public static string Sha256(string text) => Convert.ToHexStringLower(SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(text)));

    public static string Join(IEnumerable<int> ids) => string.Join(',', ids.Select(id => id.ToString(CultureInfo.InvariantCulture)));
}
