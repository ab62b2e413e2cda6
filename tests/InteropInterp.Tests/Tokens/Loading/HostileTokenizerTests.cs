using InteropInterp.Tests.Tokens.Support;
using InteropInterp.Tokens;

namespace InteropInterp.Tests.Tokens.Loading;

public sealed class HostileTokenizerTests
{
    private const string Model = """ "model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]} """;

    [Theory]
    [InlineData("", "JSON_INVALID", "not JSON")]
    [InlineData("{\"model\":", "JSON_INVALID", "not JSON")]
    [InlineData("[]", "JSON_FIELD_WRONG", "the root should be an object, not an array")]
    [InlineData("{}", "JSON_FIELD_ABSENT", "no field 'model'")]
    [InlineData("""{"model":{"type":"Unigram","vocab":[]}}""",
        "TOKENIZER_COMPONENT_UNSUPPORTED", "'Unigram' is not read. Supported are: BPE")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":0},"merges":["a z"]}}""", "MERGE_TOKEN_ABSENT", "'z' is not in the vocabulary")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":["a b"]}}""",
        "MERGE_TOKEN_ABSENT", "'ab' is not in the vocabulary")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":0,"b":0},"merges":[]}}""", "TOKEN_ID_DUPLICATE", "'a' and 'b' have the same id 0")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":0,"a":1},"merges":[]}}""", "TOKEN_DUPLICATE", "'a' has two ids, 0 and 1")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":2000000000},"merges":[]}}""", "TOKEN_ID_OUT_OF_RANGE", "id 2000000000")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":-1},"merges":[]}}""", "TOKEN_ID_OUT_OF_RANGE", "id -1")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":0.5},"merges":[]}}""", "JSON_FIELD_WRONG", "model.vocab.a should be a whole number")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":0},"merges":["a"]}}""", "TOKENIZER_FILE_INVALID", "not two tokens")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":0},"merges":[["a"]]}}""",
        "TOKENIZER_FILE_INVALID", "model.merges[0]: a merge has two parts")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":0},"merges":[],"unk_token":"?"}}""",
        "UNKNOWN_TOKEN_ABSENT", "'?' is not in the vocabulary")]
    [InlineData("""{"model":{"type":"BPE","vocab":{"a":0},"merges":[],"dropout":0.1}}""", "TOKENIZER_FILE_INVALID", "dropout")]
    public void A_broken_model_is_refused_by_name(string json, string reason, string named) => AssertRefused(json, reason, named);

    [Theory]
    [InlineData("""normalizer":{"type":"Precompiled"}""",
        "TOKENIZER_COMPONENT_UNSUPPORTED", "normalizer type 'Precompiled' is not read. Supported are: Sequence, NFC")]
    [InlineData("""pre_tokenizer":{"type":"UnicodeScripts"}""", "TOKENIZER_COMPONENT_UNSUPPORTED", "pre-tokenizer type 'UnicodeScripts'")]
    [InlineData("""pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Nope"}]}""",
        "TOKENIZER_COMPONENT_UNSUPPORTED", "pre-tokenizer type 'Nope'")]
    [InlineData("""pre_tokenizer":{"type":"Split","pattern":{"String":"a"},"behavior":"Odd"}""",
        "TOKENIZER_FILE_INVALID", "behavior 'Odd' is none of Removed")]
    [InlineData("""pre_tokenizer":{"type":"Split","behavior":"Removed"}""", "JSON_FIELD_ABSENT", "pre_tokenizer has no field 'pattern'")]
    [InlineData("""pre_tokenizer":{"type":"Metaspace","replacement":"ab"}""", "TOKENIZER_FILE_INVALID", "not one character")]
    [InlineData("""post_processor":{"type":"Nope"}""", "TOKENIZER_COMPONENT_UNSUPPORTED", "post-processor type 'Nope'")]
    [InlineData("""post_processor":{"type":"TemplateProcessing","single":[]}""", "TOKENIZER_FILE_INVALID", "names it 0 times")]
    [InlineData("""post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x"}}],"special_tokens":{}}""",
        "JSON_FIELD_ABSENT", "no field 'x'")]
    [InlineData("""decoder":{"type":"WordPiece"}""", "TOKENIZER_COMPONENT_UNSUPPORTED", "decoder type 'WordPiece'")]
    [InlineData("""added_tokens":[{"id":99999999,"content":"x"}]""", "TOKENIZER_FILE_INVALID", "99999999")]
    [InlineData("""added_tokens":{}""", "JSON_FIELD_WRONG", "added_tokens should be an array, not an object")]
    public void A_component_that_is_not_known_is_refused_by_name(string component, string reason, string named) =>
        AssertRefused($"{{\"{component},{Model}}}", reason, named);

    [Fact]
    public void Nesting_without_end_is_refused()
    {
        var json = string.Concat(Enumerable.Repeat("{\"normalizer\":", 5000)) + "1" + new string('}', 5000);
        AssertRefused(json, "JSON_INVALID", "not JSON");
    }

    [Fact]
    public void A_missing_tokenizer_names_the_files_that_were_looked_for()
    {
        using var folder = new TemporaryFolder();
        var error = Assert.Throws<InterpException>(() => TokenizerLoader.FromFolder(folder.Path));
        Assert.Equal("TOKENIZER_NOT_FOUND", error.Reason);
        foreach (var name in (string[])["tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt", "encoder.json", "vocab.bpe"])
            Assert.Contains(name, error.Message, StringComparison.Ordinal);
        Assert.Equal("FILE_NOT_FOUND", Assert.Throws<InterpException>(() => TokenizerLoader.FromFile(folder.File("no.json"))).Reason);
        Assert.Equal("FOLDER_NOT_FOUND", Assert.Throws<InterpException>(() => TokenizerLoader.FromFolder(folder.File("no"))).Reason);
    }

    [Fact]
    public void A_gguf_with_a_broken_tokenizer_is_refused_by_name()
    {
        var metadata = new Dictionary<string, object>();
        Assert.Equal("TOKENIZER_NOT_FOUND", Reason());
        metadata["tokenizer.ggml.model"] = "rwkv";
        Assert.Equal("TOKENIZER_COMPONENT_UNSUPPORTED", Reason());
        metadata["tokenizer.ggml.model"] = "llama";
        Assert.Equal("TOKENIZER_FILE_INVALID", Reason());
        metadata["tokenizer.ggml.tokens"] = new[] { "<unk>", "a" };
        metadata["tokenizer.ggml.scores"] = new[] { 0f };
        Assert.Equal("TOKENIZER_FILE_INVALID", Reason());
        metadata["tokenizer.ggml.scores"] = new[] { 0f, -1f };
        metadata["tokenizer.ggml.bos_token_id"] = 2L;
        Assert.Equal("TOKENIZER_FILE_INVALID", Reason());
        metadata["tokenizer.ggml.bos_token_id"] = "1";
        Assert.Equal("TOKENIZER_FILE_INVALID", Reason());
        metadata["tokenizer.ggml.bos_token_id"] = 1L;
        Assert.Equal([1, 1], TokenizerLoader.FromGguf(metadata).Encode("▁a", addSpecialTokens: true));
        metadata["tokenizer.ggml.model"] = "gpt2";
        metadata["tokenizer.ggml.pre"] = "unheard-of";
        var error = Assert.Throws<InterpException>(() => TokenizerLoader.FromGguf(metadata));
        Assert.Equal("TOKENIZER_COMPONENT_UNSUPPORTED", error.Reason);
        Assert.Contains("'unheard-of'", error.Message, StringComparison.Ordinal);
        Assert.Contains("smollm", error.Message, StringComparison.Ordinal);

        string Reason() => Assert.Throws<InterpException>(() => TokenizerLoader.FromGguf(metadata)).Reason;
    }

    [Fact]
    public void A_sentencepiece_file_of_garbage_is_refused()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder.File("tokenizer.model"), [0x0A, 0xFF, 0xFF, 0xFF, 0x7F, 1, 2, 3]);
        Assert.Equal("SENTENCEPIECE_INVALID", Assert.Throws<InterpException>(() => TokenizerLoader.FromFolder(folder.Path)).Reason);
    }

    private static void AssertRefused(string json, string reason, string named)
    {
        var error = Assert.Throws<InterpException>(() => TinyTokenizer.Load(json));
        Assert.Equal(reason, error.Reason);
        Assert.Contains(named, error.Message, StringComparison.Ordinal);
    }
}
