using InteropInterp.Tests.Tokens.Support;
using InteropInterp.Tokens;

namespace InteropInterp.Tests.Tokens.Normalizers;

public sealed class NormalizerTests
{
    [Theory]
    [InlineData("NFC", "e\u0301", "é")]
    [InlineData("NFC", "\u212B", "Å")]
    [InlineData("NFC", "q\u0307\u0323", "q\u0323\u0307")]
    [InlineData("NFC", "\u0344", "\u0308\u0301")]
    [InlineData("NFC", "\u1112\u1161\u11AB", "한")]
    [InlineData("NFC", "\u0958", "\u0915\u093C")]
    [InlineData("NFC", "a\u0316\u0301", "á\u0316")]
    [InlineData("NFC", "\u0301a", "\u0301a")]
    [InlineData("NFC", "\U0001D15E", "\U0001D157\U0001D165")]
    [InlineData("NFD", "é한", "e\u0301\u1112\u1161\u11AB")]
    [InlineData("NFD", "ﬁ", "ﬁ")]
    [InlineData("NFKC", "ﬁ①ｶﾞ", "fi1ガ")]
    [InlineData("NFKD", "ﷺ", "صلى الله عليه وسلم")]
    [InlineData("Lowercase", "ÀΣİẞ", "àσi\u0307ß")]
    [InlineData("StripAccents", "e\u0301\u0301n", "en")]
    public void Makes_of_a_text_what_Unicode_says(string type, string text, string expected) =>
        Assert.Equal(expected, Normalized($$"""{"type":"{{type}}"}""", text));

    [Theory]
    [InlineData("""{"type":"Strip","strip_left":true,"strip_right":false}""", " \ta b ", "a b ")]
    [InlineData("""{"type":"Strip"}""", " \t ", "")]
    [InlineData("""{"type":"Prepend","prepend":"▁"}""", "", "")]
    [InlineData("""{"type":"Prepend","prepend":"▁"}""", " a", "▁ a")]
    [InlineData("""{"type":"Replace","pattern":{"String":"aa"},"content":"b"}""", "aaa", "ba")]
    [InlineData("""{"type":"Replace","pattern":{"Regex":"\\s+"},"content":" "}""", "a \n\tb ", "a b ")]
    [InlineData("""{"type":"Sequence","normalizers":[{"type":"NFD"},{"type":"StripAccents"},{"type":"Lowercase"}]}""", "ÀÉ", "ae")]
    public void Changes_text_as_its_fields_say(string normalizer, string text, string expected) =>
        Assert.Equal(expected, Normalized(normalizer, text));

    [Fact]
    public void A_million_marks_are_put_in_order_quickly()
    {
        var marks = string.Concat(Enumerable.Repeat("\u0301\u0323", 50_000));
        var expected = new string('\u0323', 50_000) + new string('\u0301', 50_000);
        var watch = System.Diagnostics.Stopwatch.StartNew();
        Assert.Equal("x" + expected, Normalized("""{"type":"NFD"}""", "x" + marks));
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(5), $"took {watch.Elapsed}");
    }

    [Fact]
    public void Offsets_point_into_the_text_before_normalization()
    {
        var tokenizer = TinyTokenizer.ShowingText("""{"type":"NFC"}""");
        var encoding = tokenizer.EncodeWithOffsets("ae\u0301😀e\u0301b");
        // é stands for its first code point; each of its two bytes, and each of the emoji's four, for the character.
        int[] starts = [0, 1, 1, 3, 3, 3, 3, 4, 4, 6];
        Assert.Equal(starts.Select(start => new TextSpan(start, start + 1)), encoding.Spans);
    }

    private static string Normalized(string normalizer, string text)
    {
        var tokenizer = TinyTokenizer.ShowingText(normalizer);
        return tokenizer.Decode(tokenizer.Encode(text));
    }
}
