using InteropInterp.Tokens;

namespace InteropInterp.Tests.Tokens.Loading;

/// <summary>What the small files beside a tokenizer say.</summary>
public sealed class SpecialTokenFilesTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public SpecialTokenFilesTests()
    {
        Write("vocab.json", """{"a":0,"b":1,"ab":2,"<bos>":3,"<eos>":4,"<pad>":5,"<|endoftext|>":6}""");
        Write("merges.txt", "#version: 0.2\na b\n\n");
    }

    public void Dispose() => folder.Dispose();

    [Fact]
    public void Two_files_alone_begin_and_end_with_the_end_of_text()
    {
        var tokenizer = TokenizerLoader.FromFolder(folder.Path);
        Assert.Equal((6, 6, null, 6), (tokenizer.BosId, tokenizer.EosId, tokenizer.PadId, tokenizer.UnknownId));
        Assert.Equal([2, 6], tokenizer.Encode("ab<|endoftext|>", addSpecialTokens: true));
        Assert.False(tokenizer.PrependsBos || tokenizer.DeclinesBos);
    }

    [Fact]
    public void The_config_names_tokens_as_text_or_as_objects_and_comes_first()
    {
        Write("tokenizer_config.json", """
            {"bos_token":"<bos>","eos_token":{"content":"<eos>"},"add_bos_token":true,"add_eos_token":true,"padding_side":"left"}
            """);
        Write("special_tokens_map.json", """{"eos_token":"a","pad_token":"<pad>"}""");
        var tokenizer = TokenizerLoader.FromFolder(folder.Path);
        Assert.Equal((3, 4, 5), (tokenizer.BosId, tokenizer.EosId, tokenizer.PadId));
        Assert.True(tokenizer.PrependsBos);
        Assert.Equal([3, 2, 5, 4], tokenizer.Encode("ab<pad>", addSpecialTokens: true));
        Assert.Equal(PaddingSide.Left, new ModelTokenizer(tokenizer).DefaultPaddingSide);
        Assert.Equal(PaddingSide.Right, new ModelTokenizer(tokenizer, new() { DefaultPaddingSide = PaddingSide.Right }).DefaultPaddingSide);
    }

    [Fact]
    public void A_config_that_says_no_bos_is_obeyed()
    {
        Write("tokenizer_config.json", """{"bos_token":"<bos>","add_bos_token":false}""");
        var tokenizer = TokenizerLoader.FromFolder(folder.Path);
        Assert.True(tokenizer.DeclinesBos);
        Assert.Equal([2], new ModelTokenizer(tokenizer).ToTokens("ab"));
        Assert.Equal([3, 2], new ModelTokenizer(tokenizer).ToTokens("ab", prependBos: true));
    }

    [Fact]
    public void The_generation_config_knows_ids_of_which_the_first_is_the_main_one()
    {
        Write("tokenizer.json", """{"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}}""");
        Write("generation_config.json", """{"bos_token_id":1,"eos_token_id":[2,0],"pad_token_id":null}""");
        var tokenizer = TokenizerLoader.FromFolder(folder.Path);
        Assert.Equal((1, 2, null), (tokenizer.BosId, tokenizer.EosId, tokenizer.PadId));
    }

    [Fact]
    public void The_files_go_by_either_pair_of_names()
    {
        File.Move(folder.File("vocab.json"), folder.File("encoder.json"));
        File.Move(folder.File("merges.txt"), folder.File("vocab.bpe"));
        Assert.Equal([2], TokenizerLoader.FromFolder(folder.Path).Encode("ab"));
    }

    [Fact]
    public void A_merge_that_is_none_is_named_with_its_line()
    {
        Write("merges.txt", "#version: 0.2\na b\n# b\n");
        var error = Assert.Throws<InterpException>(() => TokenizerLoader.FromFolder(folder.Path));
        Assert.Equal("MERGE_TOKEN_ABSENT", error.Reason);
        Write("merges.txt", "a b c\n");
        error = Assert.Throws<InterpException>(() => TokenizerLoader.FromFolder(folder.Path));
        Assert.Contains("line 1: the merge 'a b c'", error.Message, StringComparison.Ordinal);
    }

    private void Write(string name, string content) => File.WriteAllText(folder.File(name), content);
}
