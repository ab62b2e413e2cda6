using InteropInterp.Tensors.Gguf;
using InteropInterp.Tests.Tokens.Support;
using InteropInterp.Tokens;
using static InteropInterp.Tests.Tokens.Support.GoldenTokenizer;

namespace InteropInterp.Tests.Tokens;

/// <summary>The tokenizers of real models, each against the numbers that came with it.</summary>
public sealed class RealTokenizerTests
{
    private const string Separator = "\n__ggml_vocab_test__\n";

    [Fact]
    public void TinyStories_llama_gives_the_ids_of_its_authors()
    {
        var tokenizer = TokenizerLoader.FromFolder(SharedFolder.Path("models", "01_tinystories656k_llama"));
        var golden = Parse(SharedFolder.Path("models", "01_tinystories656k_llama", "derived", "golden.json"));
        foreach (var item in golden.GetProperty("encode_no_bos").EnumerateObject())
            Assert.Equal(Ints(item.Value), tokenizer.Encode(item.Name));
        var prompt = golden.GetProperty("prompt").GetString()!;
        Assert.Equal(Ints(golden.GetProperty("prompt_ids")), tokenizer.Encode(prompt, addSpecialTokens: true));
        Assert.Equal(golden.GetProperty("greedy_text").GetString(), tokenizer.Decode(Ints(golden.GetProperty("greedy_ids"))));
        Assert.Equal((1, 2, 0, 0), (tokenizer.BosId, tokenizer.EosId, tokenizer.PadId, tokenizer.UnknownId));
        Assert.True(tokenizer.PrependsBos);
        Assert.False(tokenizer.DeclinesBos);
    }

    [Fact]
    public void Gpt2_in_its_two_files_gives_all_47_reference_texts() =>
        AssertReference(TokenizerLoader.FromFolder(SharedFolder.Path("models", "07_tokenizers")), "ggml-vocab-gpt-2.gguf.out");

    [Fact]
    public void Llama_inside_a_gguf_gives_all_47_reference_texts()
    {
        using var file = GgufFile.Open(SharedFolder.Path("models", "07_tokenizers", "ggml-vocab-llama-spm.gguf"));
        var tokenizer = TokenizerLoader.FromGguf(file.Values);
        AssertReference(tokenizer, "ggml-vocab-llama-spm.gguf.out");
        Assert.Equal((1, 2, 0), (tokenizer.BosId, tokenizer.EosId, tokenizer.UnknownId));
        Assert.True(tokenizer.PrependsBos);
        Assert.Equal([1, 15043], tokenizer.Encode("Hello", addSpecialTokens: true));
        Assert.Equal("▁Hello", tokenizer.TokenOf(15043));
    }

    [Fact]
    public void SmolLM2_inside_a_gguf_gives_the_ids_of_its_prompts_and_no_bos()
    {
        using var file = GgufFile.Open(SharedFolder.Path("models", "09_smollm2_135m", "SmolLM2-135M-Instruct.Q4_1.gguf"));
        var tokenizer = TokenizerLoader.FromGguf(file.Values);
        var golden = Parse(SharedFolder.Path("models", "09_smollm2_135m", "golden.json"));
        foreach (var prompt in golden.GetProperty("prompts").EnumerateArray())
        {
            var text = prompt.GetProperty("text").GetString()!;
            Assert.Equal(Ints(prompt.GetProperty("ids")), tokenizer.Encode(text, addSpecialTokens: true));
            Assert.Equal(Strings(prompt.GetProperty("top_str")), Ints(prompt.GetProperty("top_ids")).Select(id => tokenizer.Decode([id])));
            Assert.Equal(prompt.GetProperty("greedy_text").GetString(), tokenizer.Decode(Ints(prompt.GetProperty("greedy_ids"))));
        }
        Assert.False(tokenizer.PrependsBos);
        Assert.True(tokenizer.DeclinesBos);
        Assert.Equal((1, 2, 2), (tokenizer.BosId, tokenizer.EosId, tokenizer.PadId));
        Assert.Equal([1], tokenizer.Encode("<|im_start|>"));
    }

    [Fact]
    public void Gpt2_files_of_either_name_and_its_tokenizer_json_agree()
    {
        var golden = new GoldenTokenizer("gpt2");
        var json = TokenizerLoader.FromFolder(golden.Folder);
        var files = TokenizerLoader.FromVocabularyAndMerges(
            Path.Combine(golden.Folder, "vocab.json"), Path.Combine(golden.Folder, "merges.txt"));
        foreach (var item in golden.Items)
        {
            var text = golden.TextOf(item);
            Assert.Equal(json.EncodeWithOffsets(text).Spans, files.EncodeWithOffsets(text).Spans);
            golden.AssertIds(item, files.Encode(text));
        }
        Assert.Equal((json.BosId, json.EosId, json.VocabularySize), (files.BosId, files.EosId, files.VocabularySize));
    }

    private static void AssertReference(ITokenizer tokenizer, string expected)
    {
        var texts = File.ReadAllText(SharedFolder.Path("models", "07_tokenizers", "ggml-vocab-gpt-2.gguf.inp")).Split(Separator);
        var lines = File.ReadAllText(SharedFolder.Path("models", "07_tokenizers", expected)).Split('\n');
        // The last text is empty, and so is its line.
        Assert.Equal((47, 47), (texts.Length, lines.Length));
        for (var i = 0; i < texts.Length; i++) Assert.Equal(lines[i].Trim(), string.Join(' ', tokenizer.Encode(texts[i])));
    }
}
