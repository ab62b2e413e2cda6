using InteropInterp.Tests.Tokens.Support;
using InteropInterp.Tokens;

namespace InteropInterp.Tests.Tokens.PreTokenizers;

public sealed class SplitTests
{
    [Theory]
    [InlineData("Removed", false, "the", "final", "countdown")]
    [InlineData("Isolated", false, "the", "-", "final", "-", "-", "countdown")]
    [InlineData("MergedWithPrevious", false, "the-", "final-", "-", "countdown")]
    [InlineData("MergedWithNext", false, "the", "-final", "-", "-countdown")]
    [InlineData("Contiguous", false, "the", "-", "final", "--", "countdown")]
    [InlineData("Removed", true, "-", "-", "-")]
    [InlineData("Contiguous", true, "the", "-", "final", "--", "countdown")]
    public void Each_behavior_cuts_its_way(string behavior, bool invert, params string[] words)
    {
        var json = $$"""{"type":"Split","pattern":{"String":"-"},"behavior":"{{behavior}}","invert":{{(invert ? "true" : "false")}}}""";
        Assert.Equal(words, TinyTokenizer.ShowingWords(json).Words("the-final--countdown"));
    }

    [Theory]
    [InlineData("""{"type":"Digits","individual_digits":true}""", "a12½b", "a", "1", "2", "½", "b")]
    [InlineData("""{"type":"Digits","individual_digits":false}""", "a12½b", "a", "12½", "b")]
    [InlineData("""{"type":"Punctuation"}""", "a,+«b", "a", ",", "+", "«", "b")]
    [InlineData("""{"type":"Punctuation","behavior":"Contiguous"}""", "a,+«b", "a", ",+«", "b")]
    [InlineData("""{"type":"Whitespace"}""", "it's a_b 1!", "it", "'", "s", "a_b", "1", "!")]
    [InlineData("""{"type":"WhitespaceSplit"}""", " it's  a\n", "it's", "a")]
    [InlineData("""{"type":"CharDelimiterSplit","delimiter":"|"}""", "a||b", "a", "b")]
    [InlineData("""{"type":"Sequence","pretokenizers":[{"type":"WhitespaceSplit"},{"type":"Digits"}]}""", "ab12 3", "ab", "12", "3")]
    public void Each_kind_cuts_its_way(string json, string text, params string[] words) =>
        Assert.Equal(words, TinyTokenizer.ShowingWords(json).Words(text));

    [Fact]
    public void No_text_is_no_word() => Assert.Empty(TinyTokenizer.ShowingWords("""{"type":"Whitespace"}""").Encode(""));
}
