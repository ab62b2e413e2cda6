using System.Text.Json.Nodes;
using InteropInterp.Tests.Tokens.Support;

namespace InteropInterp.Tests.Tokens.Text;

/// <summary>Oniguruma's patterns match code points and mean what they mean in Ruby.</summary>
public sealed class RubyPatternTests
{
    [Theory]
    [InlineData(@"[^(\s|[.,!?])]+", "a|b(c.d e", "a", "|", "b", "(", "c", ".", "d", " ", "e")]
    [InlineData(@"[a-c[x-z]]+", "abxyq", "abxy", "q")]
    [InlineData(@"[a-z&&[^aeiou]]+", "abcde", "a", "bcd", "e")]
    [InlineData(@"[x[^a-z]]+", "axA1b", "a", "xA1", "b")]
    [InlineData(@"[^x[^a-z]]+", "axA1b", "a", "xA1", "b")]
    [InlineData(@"(?i:'s|'ll)", "I'S 'Ll 'ſ 's", "I", "'S", " ", "'Ll", " ", "'ſ", " ", "'s")]
    [InlineData(@"(?i)k+", "kK\u212A", "kK\u212A")]
    [InlineData(@"\p{L}+", "a𝒜𠜎b😀c", "a𝒜𠜎b", "😀", "c")]
    [InlineData(@"[^\p{L}\s]+", "a😀! 𝟘b", "a", "😀!", " ", "𝟘", "b")]
    [InlineData(@"\p{N}", "1𝟘٣", "1", "𝟘", "٣")]
    [InlineData(@"[\p{M}]+", "a\u0301\U0001D165b", "a", "\u0301\U0001D165", "b")]
    [InlineData(@"a.c", "a😀c a\nc", "a😀c", " a\nc")]
    [InlineData(@"(?m:a.c)", "a\nc", "a\nc")]
    [InlineData(@"a?+a", "aa a", "aa", " a")]
    [InlineData(@"[ab]{2}", "abaXa", "ab", "aXa")]
    [InlineData(@"x{,2}y", "xxxy", "x", "xxy")]
    [InlineData(@"a{b", "a{b!", "a{b", "!")]
    [InlineData(@"\s+(?!\S)|\s+", "a   b", "a", "  ", " ", "b")]
    [InlineData(@"(?<!x)y", "xyzy", "xyz", "y")]
    [InlineData(@"[]a]+", "]a-", "]a", "-")]
    [InlineData(@"[[:alpha:]]+", "aé1", "aé", "1")]
    [InlineData(@"\x{4e00}|\u4e01|\x41", "一丁A.", "一", "丁", "A", ".")]
    [InlineData(@"\bif\b", "if ifx if", "if", " ifx ", "if")]
    [InlineData(@"(?#note)[\-\]]", "-]", "-", "]")]
    public void Cuts_as_Oniguruma_does(string pattern, string text, params string[] words)
    {
        Assert.Equal(words, TinyTokenizer.ShowingWords(Split(pattern)).Words(text));
    }

    [Theory]
    [InlineData(@"(?s:.)", "REGEX_UNSUPPORTED", "(?s)")]
    [InlineData(@"\p{Han}", "REGEX_UNSUPPORTED", "\\p{Han}")]
    [InlineData(@"(a)\1", "REGEX_UNSUPPORTED", "\\1")]
    [InlineData(@"[😀]", "REGEX_UNSUPPORTED", "U+FFFF")]
    [InlineData(@"a(?i)b", "REGEX_UNSUPPORTED", "(?i)")]
    [InlineData(@"[a", "REGEX_INVALID", "closing bracket")]
    [InlineData(@"(a", "REGEX_INVALID", "closing parenthesis")]
    [InlineData(@"a)", "REGEX_INVALID", "closing parenthesis")]
    [InlineData(@"*a", "REGEX_INVALID", "nothing to repeat")]
    [InlineData(@"[b-a]", "REGEX_INVALID", "empty")]
    [InlineData(@"a\", "REGEX_INVALID", "backslash")]
    public void Refuses_what_it_cannot_say(string pattern, string reason, string named)
    {
        var error = Assert.Throws<InterpException>(() => TinyTokenizer.ShowingWords(Split(pattern)));
        Assert.Equal(reason, error.Reason);
        Assert.Contains(named, error.Message, StringComparison.Ordinal);
    }

    private static string Split(string pattern) => new JsonObject
    {
        ["type"] = "Split",
        ["pattern"] = new JsonObject { ["Regex"] = pattern },
        ["behavior"] = "Isolated",
    }.ToJsonString();
}
