using System.Text.Json;
using InteropInterp.Tests.Tokens.Support;
using InteropInterp.Tokens;

namespace InteropInterp.Tests.Tokens.Loading;

/// <summary>A tokenizer.json put into a GGUF's metadata, with its pre-tokenizer by name, gives the same ids.</summary>
public sealed class GgufPreTokenizerTests
{
    [Theory]
    [InlineData("gpt-2", "gpt2")]
    [InlineData("olmo", "olmo")]
    [InlineData("starcoder", "starcoder")]
    [InlineData("falcon", "falcon")]
    [InlineData("llama-bpe", "llama3")]
    [InlineData("qwen2", "qwen2")]
    [InlineData("tekken", "tekken")]
    [InlineData("gpt-4o", "o200k")]
    [InlineData("deepseek-llm", "deepseek_v1")]
    [InlineData("deepseek-v3", "deepseek_v3")]
    [InlineData("bloom", "bloom")]
    public void A_named_pre_tokenizer_is_that_of_its_family(string name, string family)
    {
        var golden = new GoldenTokenizer(family);
        var tokenizer = TokenizerLoader.FromGguf(Metadata(golden.Folder, name));
        foreach (var item in golden.Items) golden.AssertIds(item, tokenizer.Encode(golden.TextOf(item)));
    }

    private static Dictionary<string, object> Metadata(string folder, string pre)
    {
        var json = GoldenTokenizer.Parse(Path.Combine(folder, "tokenizer.json"));
        var model = json.GetProperty("model");
        var vocabulary = model.GetProperty("vocab").EnumerateObject().Select(p => (p.Name, Id: p.Value.GetInt32()));
        var added = json.GetProperty("added_tokens").EnumerateArray().ToList();
        var size = vocabulary.Select(v => v.Id).Concat(added.Select(a => a.GetProperty("id").GetInt32())).Max() + 1;
        var tokens = new string[size];
        var types = Enumerable.Repeat(1, size).ToArray();
        foreach (var (token, id) in vocabulary) tokens[id] = token;
        foreach (var token in added)
        {
            var id = token.GetProperty("id").GetInt32();
            tokens[id] = token.GetProperty("content").GetString()!;
            types[id] = token.GetProperty("special").GetBoolean() ? 3 : 4;
        }
        var merges = model.GetProperty("merges").EnumerateArray()
            .Select(m => m.ValueKind == JsonValueKind.String ? m.GetString()! : string.Join(' ', GoldenTokenizer.Strings(m)));
        return new()
        {
            ["tokenizer.ggml.model"] = "gpt2",
            ["tokenizer.ggml.pre"] = pre,
            ["tokenizer.ggml.tokens"] = tokens,
            ["tokenizer.ggml.token_type"] = types,
            ["tokenizer.ggml.merges"] = merges.ToArray(),
        };
    }
}
