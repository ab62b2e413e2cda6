using InteropInterp.Tests.Tokens.Support;
using InteropInterp.Tokens;
using static InteropInterp.Tests.Tokens.Support.GoldenTokenizer;

namespace InteropInterp.Tests.Tokens;

/// <summary>SentencePiece BPE models against SentencePiece itself.</summary>
public sealed class SentencePieceGoldenTests
{
    [Theory]
    [InlineData("spm_bpe_bytefallback")]
    [InlineData("spm_bpe_nodummy_uds")]
    public void Ids_pieces_and_decodings_are_those_of_SentencePiece(string name)
    {
        var golden = new GoldenTokenizer(name);
        var tokenizer = TokenizerLoader.FromFolder(golden.Folder);
        Assert.Equal(golden.Head.GetProperty("vocab_size").GetInt32(), tokenizer.VocabularySize);
        foreach (var item in golden.Items)
        {
            var text = golden.TextOf(item);
            var ids = tokenizer.Encode(text);
            golden.AssertIds(item, ids);
            if (item.TryGetProperty("tokens", out var tokens))
            {
                Assert.Equal(Strings(tokens), ids.Select(tokenizer.TokenOf));
                var pieces = item.TryGetProperty("pieces", out var given) ? given : tokens;
                Assert.Equal(Strings(pieces), ids.Select(id => tokenizer.Decode([id])));
            }
            if (item.TryGetProperty("decode_sha256", out var hash)) Assert.Equal(hash.GetString(), Sha256(tokenizer.Decode(ids)));
            else Assert.Equal(item.TryGetProperty("decode", out var decoded) ? decoded.GetString() : text, tokenizer.Decode(ids));
        }
    }

    [Theory]
    [InlineData("spm_unigram_bytefallback", "Unigram")]
    [InlineData("spm_char", "Char")]
    public void Other_kinds_are_refused_by_name(string name, string kind)
    {
        var error = Assert.Throws<InterpException>(() => TokenizerLoader.FromFolder(SharedFolder.Path("fixtures", "tokenizers", name)));
        Assert.Equal("TOKENIZER_COMPONENT_UNSUPPORTED", error.Reason);
        Assert.Contains(kind, error.Message, StringComparison.Ordinal);
    }
}
