using System.Text.Json.Nodes;
using CsCheck;
using InteropInterp.Tests.Tokens.Support;
using InteropInterp.Tokens;

namespace InteropInterp.Tests.Tokens.Models;

public sealed class BpeTests
{
    private static readonly Gen<string> Word = Gen.Char["abcd "].Array[1, 200].Select(chars => new string(chars));

    /// <summary>Some merges over a small alphabet, each of tokens that are there before it.</summary>
    private static readonly Gen<(string Left, string Right)[]> Merges = Gen.Int[0, int.MaxValue].Array[1, 25].Select(draws =>
    {
        var tokens = "abcd ".Select(c => c.ToString()).ToList();
        var merges = new List<(string, string)>();
        foreach (var draw in draws)
        {
            var (left, right) = (tokens[draw % tokens.Count], tokens[draw / tokens.Count % tokens.Count]);
            if (tokens.Contains(left + right)) continue;
            merges.Add((left, right));
            tokens.Add(left + right);
        }
        return merges.ToArray();
    });

    [Fact]
    public void Merges_as_the_textbook_does_whatever_the_length() => Gen.Select(Merges, Word).Sample((merges, word) =>
    {
        var tokenizer = Build(merges);
        Assert.Equal(Textbook(merges, word), tokenizer.Encode(word).Select(tokenizer.TokenOf));
        Assert.Equal(tokenizer.Encode(word), tokenizer.EncodeWithOffsets(word).Ids);
    }, iter: 300);

    [Fact]
    public void Unknown_characters_are_bytes_else_unknown_else_one_unknown()
    {
        Assert.Equal(["a", "<unk>", "<unk>", "a"], Tokens("\"unk_token\":\"<unk>\",\"fuse_unk\":false"));
        Assert.Equal(["a", "<unk>", "a"], Tokens("\"unk_token\":\"<unk>\",\"fuse_unk\":true"));
        Assert.Equal(["a", "<0xC3>", "<0xA9>", "<unk>", "a"], Tokens("\"unk_token\":\"<unk>\",\"byte_fallback\":true"));

        static IEnumerable<string?> Tokens(string options)
        {
            var tokenizer = TinyTokenizer.Load($$$"""
                {"model":{"type":"BPE",{{{options}}},"vocab":{"<unk>":0,"a":1,"<0xC3>":2,"<0xA9>":3},"merges":[]}}
                """);
            return tokenizer.Encode("aéxa").Select(tokenizer.TokenOf);
        }
    }

    [Fact]
    public void Prefix_and_suffix_mark_where_in_a_word_a_token_stands()
    {
        var tokenizer = TinyTokenizer.Load("""
            {"model":{"type":"BPE","continuing_subword_prefix":"##","end_of_word_suffix":"</w>",
            "vocab":{"a":0,"##b":1,"##c</w>":2,"ab":3,"abc</w>":4,"a</w>":5},"merges":["a ##b","ab ##c</w>"]},
            "decoder":{"type":"BPEDecoder","suffix":"</w>"}}
            """);
        Assert.Equal([4], tokenizer.Encode("abc"));
        Assert.Equal([5], tokenizer.Encode("a"));
        Assert.Equal("a abc", tokenizer.Decode([5, 4]));
    }

    private static ITokenizer Build((string Left, string Right)[] merges)
    {
        var vocabulary = new JsonObject();
        foreach (var token in "abcd ".Select(c => c.ToString()).Concat(merges.Select(m => m.Left + m.Right)))
            vocabulary[token] = vocabulary.Count;
        var pairs = new JsonArray(merges.Select(m => (JsonNode)new JsonArray(m.Left, m.Right)).ToArray());
        var model = new JsonObject { ["type"] = "BPE", ["vocab"] = vocabulary, ["merges"] = pairs };
        return TinyTokenizer.Load(new JsonObject { ["model"] = model });
    }

    private static List<string> Textbook((string Left, string Right)[] merges, string word)
    {
        var tokens = word.Select(c => c.ToString()).ToList();
        while (true)
        {
            var best = Enumerable.Range(0, tokens.Count - 1)
                .Select(i => (At: i, Rank: Array.IndexOf(merges, (tokens[i], tokens[i + 1]))))
                .Where(pair => pair.Rank >= 0).OrderBy(pair => pair.Rank).ThenBy(pair => pair.At).Take(1).ToList();
            if (best.Count == 0) return tokens;
            tokens[best[0].At] += tokens[best[0].At + 1];
            tokens.RemoveAt(best[0].At + 1);
        }
    }
}
