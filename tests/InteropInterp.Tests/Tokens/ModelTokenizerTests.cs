using System.Text.Json;
using InteropInterp.Tensors.Gguf;
using InteropInterp.Tests.Tokens.Support;
using InteropInterp.Tokens;
using static InteropInterp.Tests.Tokens.Support.GoldenTokenizer;

namespace InteropInterp.Tests.Tokens;

/// <summary>Every tokenizer call of shared/fixtures/analysis/tokens.json, made with TransformerLens 3.9.</summary>
public sealed class ModelTokenizerTests
{
    private readonly JsonElement values = Parse(SharedFolder.Path("fixtures", "analysis", "tokens.json")).GetProperty("values");

    private readonly ModelTokenizer tokenizer = new(
        TokenizerLoader.FromFolder(SharedFolder.Path("fixtures", "models", "gpt2_shakespeare")), new() { ContextLength = 128 });

    private JsonElement Prompts => Value("prompts");

    [Fact]
    public void Special_tokens_are_those_after_loading()
    {
        var special = Value("special");
        Assert.Equal(special.GetProperty("bos").GetInt32(), tokenizer.BosId);
        Assert.Equal(special.GetProperty("eos").GetInt32(), tokenizer.EosId);
        Assert.Equal(special.GetProperty("pad").GetInt32(), tokenizer.PadId);
        Assert.Equal(special.GetProperty("pad_token").GetString(), tokenizer.ToSingleStrToken(tokenizer.PadId!.Value));
        Assert.Equal(special.GetProperty("vocab").GetInt32(), tokenizer.Tokenizer.VocabularySize);
        Assert.Equal(PaddingSide.Right, tokenizer.DefaultPaddingSide);
        Assert.True(tokenizer.DefaultPrependBos);
    }

    [Fact]
    public void Texts_become_tokens_and_string_tokens_with_and_without_bos()
    {
        var cases = values.EnumerateObject().Where(v => v.Name.StartsWith("to_tokens/", StringComparison.Ordinal)).ToList();
        Assert.Equal(11, cases.Count);
        foreach (var item in cases)
        {
            var value = item.Value.GetProperty("value");
            var text = value.GetProperty("text").GetString()!;
            var prependBos = item.Name.EndsWith("bos_True", StringComparison.Ordinal);
            Assert.Equal(Ints(value.GetProperty("tokens")[0]), tokenizer.ToTokens(text, prependBos));
            Assert.Equal(Strings(value.GetProperty("str")), tokenizer.ToStrTokens(text, prependBos));
            if (prependBos) Assert.Equal(tokenizer.ToTokens(text, prependBos), tokenizer.ToTokens(text));
        }
    }

    [Theory]
    [InlineData("right", PaddingSide.Right)]
    [InlineData("left", PaddingSide.Left)]
    public void Batches_are_padded_and_masked(string name, PaddingSide side)
    {
        var batch = Value($"batch/{name}");
        var texts = Strings(batch.GetProperty("texts"));
        var rows = tokenizer.ToTokens(texts, paddingSide: side);
        AssertMatrix(batch.GetProperty("tokens"), rows.ToPadded());
        AssertMatrix(Value($"batch_mask/{name}"), rows.AttentionMask());
        AssertMatrix(Value($"batch_mask/{name}"), AttentionMasks.Of(rows.ToPadded(), tokenizer.PadId!.Value, side, startsWithBos: true));
        Assert.Equal(batch.GetProperty("str").EnumerateArray().Select(Strings), texts.Select(text => tokenizer.ToStrTokens(text)));
        if (side == PaddingSide.Left) AssertMatrix(Value("batch_no_bos/left"), tokenizer.ToTokens(texts, false, side).ToPadded());
    }

    [Fact]
    public void Single_tokens_are_found_and_others_say_what_they_fall_into()
    {
        foreach (var text in Strings(Prompts.GetProperty("single")))
        {
            var value = Value($"to_single_token/{text}");
            if (value.ValueKind == JsonValueKind.Number) Assert.Equal(value.GetInt32(), tokenizer.ToSingleToken(text));
            else Assert.Equal("NOT_A_SINGLE_TOKEN", Assert.Throws<InterpException>(() => tokenizer.ToSingleToken(text)).Reason);
        }
        Assert.Equal(Value("to_single_str_token/300").GetString(), tokenizer.ToSingleStrToken(300));
        var error = Assert.Throws<InterpException>(() => tokenizer.ToSingleToken("king"));
        Assert.Equal("'king' is not a single token but 2: 'k', 'ing'. Did you mean ' king'?", error.Message);
    }

    [Fact]
    public void Ids_become_text()
    {
        var ids = tokenizer.ToTokens(Prompts.GetProperty("clean").GetString()!);
        Assert.Equal(Value("to_string/1d").GetString(), tokenizer.ToText(ids));
        Assert.Equal(Value("to_string/2d")[0].GetString(), tokenizer.ToText(ids));
    }

    [Fact]
    public void Positions_of_tokens_are_found()
    {
        var clean = Prompts.GetProperty("clean").GetString()!;
        foreach (var item in values.EnumerateObject().Where(v => v.Name.StartsWith("get_token_position/", StringComparison.Ordinal)))
        {
            if (item.Name.Split('/') is not [_, var token, var mode, var bos]) continue;
            var (occurrence, withBos) = (mode == "first" ? TokenOccurrence.First : TokenOccurrence.Last, bos == "bos_True");
            var expected = item.Value.GetProperty("value").GetInt32();
            Assert.Equal(expected, int.TryParse(token, out var id)
                ? tokenizer.GetTokenPosition(id, clean, occurrence, withBos)
                : tokenizer.GetTokenPosition(token, clean, occurrence, withBos));
        }
        Assert.Equal(Value("get_token_position/tokens").GetInt32(),
            tokenizer.GetTokenPosition(Prompts.GetProperty("answer").GetString()!, tokenizer.ToTokens(clean).AsSpan()));
        Assert.Equal("TOKEN_ABSENT", Assert.Throws<InterpException>(() => tokenizer.GetTokenPosition("JULIET", clean)).Reason);
    }

    [Fact]
    public void Long_texts_are_cut_to_the_context_unless_told_otherwise()
    {
        var golden = Value("truncate");
        var text = golden.GetProperty("text").GetString()!;
        var cut = tokenizer.ToTokens(text);
        Assert.Equal(golden.GetProperty("n").GetInt32(), cut.Length);
        Assert.Equal(Ints(golden.GetProperty("last")), cut.TakeLast(4));
        Assert.Equal(golden.GetProperty("n_no_truncate").GetInt32(), tokenizer.ToTokens(text, truncate: false).Length);
    }

    [Theory]
    [InlineData(8, true)]
    [InlineData(8, false)]
    [InlineData(200, true)]
    public void Documents_are_joined_and_cut_into_rows(int length, bool withBos)
    {
        var expected = Value($"tokenize_and_concatenate/{length}/{(withBos ? "True" : "False")}");
        var options = new TokenizedCorpusOptions { RowLength = length, PrependBos = withBos };
        var rows = TokenizedCorpus.Rows(tokenizer, Strings(Prompts.GetProperty("docs")), options);
        Assert.Equal(expected.EnumerateArray().Select(Ints), rows);
    }

    [Fact]
    public void Documents_are_joined_batch_by_batch()
    {
        var docs = Strings(Prompts.GetProperty("docs"));
        var rows = TokenizedCorpus.Rows(tokenizer, docs, new() { RowLength = 6, PrependBos = false, DocumentsPerBatch = 1 });
        // One empty document is a row of padding.
        Assert.Equal(docs.Sum(doc => Math.Max(1, tokenizer.Tokenizer.Encode(doc).Length / 6)), rows.Count());
        Assert.Contains(rows, row => row.All(id => id == tokenizer.PadId));
    }

    [Fact]
    public void What_has_no_tokens_or_no_meaning_is_refused()
    {
        Assert.Equal("EMPTY_INPUT", Reason(() => tokenizer.ToTokens("", prependBos: false)));
        Assert.Equal("EMPTY_INPUT", Reason(() => tokenizer.ToTokens([])));
        Assert.Equal("TOKEN_ID_OUT_OF_RANGE", Reason(() => tokenizer.ToText([1024])));
        Assert.Equal("TOKEN_ID_OUT_OF_RANGE", Reason(() => tokenizer.ToSingleStrToken(-1)));
        Assert.Equal("ROW_LENGTH_TOO_SMALL", Reason(() => TokenizedCorpus.Rows(tokenizer, ["a"], new() { RowLength = 1 })));
        var padded = new ModelTokenizer(tokenizer.Tokenizer, new() { ModelVocabularySize = 1100 });
        Assert.Equal("", padded.ToText([1099]));
        Assert.Equal("TOKEN_ID_OUT_OF_RANGE", Reason(() => padded.ToText([1100])));
    }

    [Fact]
    public void Without_any_special_token_there_is_no_bos_and_no_padding()
    {
        var bare = new ModelTokenizer(TinyTokenizer.Load("""{"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}"""));
        Assert.False(bare.DefaultPrependBos);
        Assert.Equal([0, 0], bare.ToTokens("aa"));
        Assert.Equal("NO_BOS_TOKEN", Reason(() => bare.ToTokens("a", prependBos: true)));
        Assert.Equal("NO_PAD_TOKEN", Reason(() => bare.ToTokens(["a", "aa"]).ToPadded()));
        Assert.Equal(2, bare.ToTokens(["aa", "aa"]).ToPadded().Length / 2);
    }

    [Fact]
    public void A_tokenizer_that_puts_a_bos_itself_gives_one_bos_or_none()
    {
        var llama = new ModelTokenizer(TokenizerLoader.FromFolder(SharedFolder.Path("models", "01_tinystories656k_llama")));
        Assert.Equal([1, 80, 147, 201, 282, 57], llama.ToTokens("Once upon a time"));
        Assert.Equal([80, 147, 201, 282, 57], llama.ToTokens("Once upon a time", prependBos: false));
        var olmo = new ModelTokenizer(TokenizerLoader.FromFolder(new GoldenTokenizer("olmo").Folder), new() { ContextLength = 3 });
        Assert.Equal(923, olmo.ToTokens("a long enough text", prependBos: false)[^1]);
        Assert.Equal(3, olmo.ToTokens("a long enough text", prependBos: false).Length);
    }

    [Fact]
    public void SmolLM2_declines_the_bos_of_its_model()
    {
        using var file = GgufFile.Open(SharedFolder.Path("models", "09_smollm2_135m", "SmolLM2-135M-Instruct.Q4_1.gguf"));
        var smol = new ModelTokenizer(TokenizerLoader.FromGguf(file.Values), new() { DefaultPrependBos = true });
        Assert.False(smol.DefaultPrependBos);
        Assert.Equal([504, 3575, 282, 4649, 314], smol.ToTokens("The capital of France is"));
        Assert.Equal([1, 504, 3575, 282, 4649, 314], smol.ToTokens("The capital of France is", prependBos: true));
    }

    private JsonElement Value(string key) => values.GetProperty(key).GetProperty("value");

    private static string Reason(Action call) => Assert.Throws<InterpException>(call).Reason;

    private static void AssertMatrix(JsonElement expected, long[,] found)
    {
        var rows = expected.EnumerateArray().Select(Ints).ToList();
        Assert.Equal((rows.Count, rows[0].Length), (found.GetLength(0), found.GetLength(1)));
        for (var r = 0; r < rows.Count; r++)
            Assert.Equal(rows[r].Select(id => (long)id), Enumerable.Range(0, rows[r].Length).Select(p => found[r, p]));
    }
}
