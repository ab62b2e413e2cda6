using CsCheck;
using InteropInterp.Tests.Tokens.Support;
using InteropInterp.Tokens;

namespace InteropInterp.Tests.Tokens;

public sealed class ByteLevelRoundTripTests
{
    // Any UTF-16, so with lone surrogates; ASCII and spaces often enough to make words.
    private static readonly Gen<string> AnyText = Gen.Frequency(
        (4, Gen.Char["abc  \n123'!"].Select(c => c.ToString())), (2, Gen.Char.Select(c => c.ToString())),
        (1, Gen.Int[0x10000, 0x10FFFF].Select(char.ConvertFromUtf32))).Array[0, 60].Select(string.Concat);

    [Theory]
    [InlineData("gpt2")]
    [InlineData("llama3")]
    [InlineData("falcon")]
    [InlineData("deepseek_v3")]
    public void Any_text_comes_back_with_lone_surrogates_as_replacement_characters(string name)
    {
        var tokenizer = TokenizerLoader.FromFolder(new GoldenTokenizer(name).Folder);
        AnyText.Sample(text =>
        {
            var wellFormed = string.Concat(text.EnumerateRunes());
            var encoding = tokenizer.EncodeWithOffsets(text);
            Assert.Equal(tokenizer.Encode(text), encoding.Ids);
            Assert.Equal(wellFormed, tokenizer.Decode(encoding.Ids));
            Assert.All(encoding.Spans, span => Assert.InRange(span.End, span.Start + 1, wellFormed.EnumerateRunes().Count()));
        }, iter: 500);
    }

    [Fact]
    public void Many_threads_get_what_one_gets()
    {
        var golden = new GoldenTokenizer("llama3");
        var tokenizer = TokenizerLoader.FromFolder(golden.Folder);
        var items = golden.Items.Concat(golden.Items).Concat(golden.Items);
        Parallel.ForEach(items, item => golden.AssertIds(item, tokenizer.Encode(golden.TextOf(item))));
    }
}
