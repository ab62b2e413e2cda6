using System.Runtime.InteropServices;
using CsCheck;
using InteropInterp.Streams.Sources;
using InteropInterp.Tensors;
using InteropInterp.Tokens;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Streams;

public class TokenSourcesTests
{
    private static string Reason(Action action) => Assert.Throws<InterpException>(action).Reason;

    private static void AssertSeekable(ITokenSource source)
    {
        var all = source.Rows(0).ToList();
        for (var from = 0; from <= all.Count + 1; from++) Assert.Equal(all.Skip(from), source.Rows(from));
        Assert.True(source.RowLength >= all.Max(row => row.Length));
        if (source.RowCount is { } count) Assert.Equal(count, all.Count);
        Assert.Equal(source.Identity, source.Identity);
    }

    [Theory]
    [InlineData(TextDocuments.Line, "abc def\n\nxyz\r\nlong line of text\n", new[] { "abc def", "xyz", "long line of text" })]
    [InlineData(TextDocuments.Paragraph, "a\nb\n\n\nc\n", new[] { "a\nb", "c" })]
    [InlineData(TextDocuments.File, "a\n\nb", new[] { "a\n\nb" })]
    [InlineData(TextDocuments.JsonLine, "{\"text\": \"a b\", \"n\": 1}\n{\"n\": 2, \"text\": \"c\"}\n", new[] { "a b", "c" })]
    public void Text_files_are_cut_as_a_corpus_is(TextDocuments kind, string text, string[] documents)
    {
        using var folder = new TemporaryFolder();
        using var model = HookedTransformer.FromPretrained(TinyModel.Write(folder.Path));
        File.WriteAllText(folder.File("text"), text);
        var options = new TokenizedCorpusOptions { RowLength = 5 };
        using var source = TextFiles.Open([folder.File("text")], model.Tokenizer, kind, options);
        Assert.Equal(TokenizedCorpus.Rows(model.Tokenizer, documents, options with { KeepsRest = true }), source.Rows(0));
        AssertSeekable(source);
    }

    [Fact]
    public void Nothing_of_a_corpus_is_dropped_or_padded()
    {
        using var folder = new TemporaryFolder();
        using var model = HookedTransformer.FromPretrained(TinyModel.Write(folder.Path));
        var options = new TokenizedCorpusOptions { RowLength = 4, KeepsRest = true };
        var rows = TokenizedCorpus.Rows(model.Tokenizer, ["abcd", "e"], options).ToList();
        var end = TinyModel.EndOfText;
        int[][] both = [[end, 1, 2, 3], [end, 4, end, 5]], one = [[end, 1, 2]];
        Assert.Equal(both, rows);
        Assert.Equal(one, TokenizedCorpus.Rows(model.Tokenizer, ["ab"], options));
    }

    [Fact]
    public void Shards_of_every_format_hold_the_same_tokens()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        int[] tokens = [.. Enumerable.Range(0, 23).Select(i => i * 7 % 40)];
        File.WriteAllBytes(folder.File("u16.bin"), MemoryMarshal.AsBytes<ushort>([.. tokens.Select(t => (ushort)t)]).ToArray());
        File.WriteAllBytes(folder.File("u32.bin"), MemoryMarshal.AsBytes<uint>([.. tokens.Select(t => (uint)t)]).ToArray());
        File.WriteAllBytes(folder.File("u2.npy"), Npy("<u2", "(23,)", MemoryMarshal.AsBytes<ushort>([.. tokens.Select(t => (ushort)t)])));
        File.WriteAllBytes(folder.File("i8.npy"), Npy("<i8", "(23,)", MemoryMarshal.AsBytes<long>([.. tokens.Select(t => (long)t)])));
        SafeTensors.Save(folder.File("t.safetensors"), [new("tokens", tensor(tokens))]);
        (string File, StorageType Raw)[] files =
            [("u16.bin", StorageType.U16), ("u32.bin", StorageType.U32), ("u2.npy", StorageType.U16), ("i8.npy", StorageType.U16), ("t.safetensors", StorageType.U16)];
        foreach (var (file, raw) in files)
        {
            using var source = new TokenShards([folder.File(file)], new TokenShardOptions { RowLength = 6, Bos = 39, Raw = raw });
            Assert.Equal(tokens.Chunk(5).Select(chunk => (int[])[39, .. chunk]), source.Rows(0));
            AssertSeekable(source);
        }
        using var both = new TokenShards([folder.File("u2.npy"), folder.File("i8.npy")], new TokenShardOptions { RowLength = 6 });
        Assert.Equal(tokens.Chunk(6).Concat(tokens.Chunk(6)), both.Rows(0));
        AssertSeekable(both);
    }

    [Fact]
    public void A_shard_of_rows_keeps_them()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        SafeTensors.Save(folder.File("t.safetensors"), [new("a", tensor([1L, 2, 3, 4, 5, 6]).view(2, 3)), new("b", zeros(1))]);
        using var source = new TokenShards([folder.File("t.safetensors")], new TokenShardOptions { Tensor = "a" });
        int[][] rows = [[1, 2, 3], [4, 5, 6]];
        Assert.Equal(rows, source.Rows(0));
        AssertSeekable(source);
    }

    [Fact]
    public void Files_that_hold_no_tokens_are_refused_with_the_reason()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        string Of(string name, ReadOnlySpan<byte> bytes)
        {
            File.WriteAllBytes(folder.File(name), bytes);
            return folder.File(name);
        }
        void Open(string path, string? name = null) => new TokenShards([path], new TokenShardOptions { Tensor = name }).Dispose();
        Assert.Equal("NO_FILES", Reason(() => _ = new TokenShards([])));
        Assert.Equal("FILE_NOT_FOUND", Reason(() => Open(folder.File("absent.npy"))));
        Assert.Equal("NO_ROWS", Reason(() => Open(Of("empty.bin", []))));
        Assert.Equal("TOKEN_SHARD_CUT_OFF", Reason(() => Open(Of("odd.bin", [1, 2, 3]))));
        Assert.Equal("NPY_INVALID", Reason(() => Open(Of("no.npy", "not numpy at all"u8))));
        Assert.Equal("TOKEN_SHARD_TYPE", Reason(() => Open(Of("float.npy", Npy("<f4", "(1,)", new byte[4])))));
        Assert.Equal("TOKEN_SHARD_CUT_OFF", Reason(() => Open(Of("short.npy", Npy("<u2", "(9,)", new byte[4])))));
        Assert.Equal("TOKEN_SHARD_CUT_OFF", Reason(() => Open(Of("huge.npy", Npy("<u2", "(9223372036854775807, 9)", new byte[4])))));
        Assert.Equal("TOKEN_SHARD_SHAPE", Reason(() => Open(Of("cube.npy", Npy("<u2", "(1, 1, 1)", new byte[2])))));
        SafeTensors.Save(folder.File("t.safetensors"), [new("a", zeros(1, int64)), new("b", zeros(1, float32))]);
        Assert.Equal("SEVERAL_TENSORS", Reason(() => Open(folder.File("t.safetensors"))));
        Assert.Equal("UNKNOWN_TENSOR", Reason(() => Open(folder.File("t.safetensors"), "c")));
        Assert.Equal("TOKEN_SHARD_TYPE", Reason(() => Open(folder.File("t.safetensors"), "b")));
        using var negative = new TokenShards([Of("negative.npy", Npy("<i8", "(2,)", MemoryMarshal.AsBytes<long>([3, -1])))]);
        Assert.Equal("TOKEN_OUT_OF_RANGE", Reason(() => _ = negative.Rows(0).ToList()));
    }

    [Fact]
    public void Text_that_is_none_is_refused_with_its_line()
    {
        using var folder = new TemporaryFolder();
        using var model = HookedTransformer.FromPretrained(TinyModel.Write(folder.Path));
        void Read(byte[] bytes, TextDocuments kind)
        {
            File.WriteAllBytes(folder.File("text"), bytes);
            foreach (var _ in TextFiles.Open([folder.File("text")], model.Tokenizer, kind).Rows(0))
            {
            }
        }
        Assert.Equal("FILE_NOT_FOUND", Reason(() => TextFiles.Open([folder.File("absent")], model.Tokenizer)));
        Assert.Equal("ROW_LENGTH_TOO_SMALL", Reason(() => TextFiles.Open([folder.Path + "/tiny/tokenizer.json"], model.Tokenizer, options: new() { RowLength = 1 })));
        Assert.Equal("TEXT_NOT_UTF8", Reason(() => Read([0x61, 0xFF, 0xFE], TextDocuments.Line)));
        Assert.Equal("JSON_LINE_INVALID", Reason(() => Read("{\"text\": 3}"u8.ToArray(), TextDocuments.JsonLine)));
        Assert.Equal("JSON_LINE_INVALID", Reason(() => Read("[1"u8.ToArray(), TextDocuments.JsonLine)));
    }

    [Fact]
    public void Whatever_bytes_a_shard_holds_it_is_read_or_refused()
    {
        using var folder = new TemporaryFolder();
        var good = Npy("<u2", "(8,)", MemoryMarshal.AsBytes<ushort>([1, 2, 3, 4, 5, 6, 7, 8]));
        Gen.Select(Gen.Int[0, good.Length - 1], Gen.Byte, Gen.Int[0, good.Length]).Sample(change =>
        {
            var (at, value, length) = change;
            var bytes = good[..Math.Max(length, at + 1)];
            bytes[at] = value;
            File.WriteAllBytes(folder.File("fuzz.npy"), bytes);
            try
            {
                using var source = new TokenShards([folder.File("fuzz.npy")], new TokenShardOptions { RowLength = 3 });
                Assert.True(source.Rows(0).Sum(row => row.Length) <= bytes.Length);
            }
            catch (InterpException)
            {
            }
        }, iter: 500, threads: 1);
    }

    private static byte[] Npy(string descr, string shape, ReadOnlySpan<byte> data)
    {
        var header = System.Text.Encoding.ASCII.GetBytes($"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        return [0x93, .. "NUMPY"u8, 1, 0, (byte)header.Length, (byte)(header.Length >> 8), .. header, .. data];
    }
}
