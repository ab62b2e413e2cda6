using CsCheck;
using InteropInterp.Streams;
using InteropInterp.Streams.Sources;
using InteropInterp.Streams.Statistics;
using InteropInterp.Tokens;
using Parquet;
using Parquet.Schema;

namespace InteropInterp.Corpora.Tests;

public class ParquetFilesTests
{
    private static readonly TokenizedCorpusOptions Options = new() { RowLength = 6 };

    private static string Reason(Action action) => Assert.Throws<InterpException>(action).Reason;

    // Row groups of "n" and "text".
    private static async Task<string> WriteTexts(TemporaryFolder folder, params string?[][] groups)
    {
        var (number, text) = (new DataField<int>("n"), new DataField<string>("text", true));
        var path = folder.File("text.parquet");
        await using var file = File.Create(path);
        await using var writer = await ParquetWriter.CreateAsync(new ParquetSchema(number, text), file);
        foreach (var texts in groups)
        {
            using var group = writer.CreateRowGroup();
            await group.WriteAsync<int>(number, Enumerable.Range(0, texts.Length).ToArray());
            await group.WriteAsync(text, texts!);
        }
        return path;
    }

    // What pyarrow writes for a list column: input_ids (list) / list (repeated) / element.
    private static async Task<string> WriteLists(TemporaryFolder folder, int[][] lists)
    {
        var item = new DataField<int>("element", false);
        var schema = new ParquetSchema(new ListField("input_ids", item));
        var (values, levels, present) = (new List<int>(), new List<int>(), new List<int>());
        var field = schema.GetDataFields()[0];
        foreach (var list in lists)
        {
            if (list.Length == 0)
            {
                levels.Add(0);
                present.Add(field.MaxDefinitionLevel - 1);
            }
            for (var i = 0; i < list.Length; i++)
            {
                values.Add(list[i]);
                levels.Add(i == 0 ? 0 : 1);
                present.Add(field.MaxDefinitionLevel);
            }
        }
        var path = folder.File("lists.parquet");
        await using var file = File.Create(path);
        await using var writer = await ParquetWriter.CreateAsync(schema, file);
        using var group = writer.CreateRowGroup();
        await group.WriteAllPartsAsync<int>(field, values.ToArray(), present.ToArray(), levels.ToArray(), CancellationToken.None);
        return path;
    }

    [Fact]
    public async Task Texts_are_documents()
    {
        using var folder = new TemporaryFolder();
        using var model = HookedTransformer.FromPretrained(TinyModel.Write(folder.Path));
        var path = await WriteTexts(folder, ["abc def", null, "x"], ["a longer text", "z"]);
        using var source = ParquetFiles.Open([path, path], "text", model.Tokenizer, Options);
        string[] documents = ["abc def", "x", "a longer text", "z"];
        var rows = TokenizedCorpus.Rows(model.Tokenizer, documents.Concat(documents), Options with { KeepsRest = true }).ToList();
        Assert.Equal(rows, source.Rows(0));
        Assert.Equal(rows.Skip(3), source.Rows(3));
        Assert.Equal(source.Identity, source.Identity);
    }

    [Fact]
    public async Task Lists_of_tokens_are_rows()
    {
        using var folder = new TemporaryFolder();
        using var model = HookedTransformer.FromPretrained(TinyModel.Write(folder.Path));
        var path = await WriteLists(folder, [[1, 2, 3], [], [4], [5, 6, 7, 8, 9, 10, 11]]);
        using var bare = ParquetFiles.Open([path], "input_ids", null, Options);
        int[][] rows = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 10], [11]];
        Assert.Equal(rows, bare.Rows(0));
        using var source = ParquetFiles.Open([path], "input_ids", model.Tokenizer, Options);
        var end = TinyModel.EndOfText;
        rows = [[end, 1, 2, 3], [end, 4], [end, 5, 6, 7, 8, 9], [end, 10, 11]];
        Assert.Equal(rows, source.Rows(0));
        Assert.Equal(rows[3..], source.Rows(3));
        using var result = StreamRunner.Run(model.Model, new StreamPlan { Source = source, SkipFirst = 1, Probes = [new StreamProbe("blocks.0.hook_resid_post", new Moments())] });
        Assert.Equal((4, 11), (result.Rows, result.Tokens));
    }

    [Fact]
    public async Task What_is_not_there_is_refused()
    {
        using var folder = new TemporaryFolder();
        using var model = HookedTransformer.FromPretrained(TinyModel.Write(folder.Path));
        var path = await WriteTexts(folder, ["abc"]);
        var error = Assert.Throws<InterpException>(() => ParquetFiles.Open([path], "txt", model.Tokenizer));
        Assert.Equal(("UNKNOWN_COLUMN", "text"), (error.Reason, error.Suggestions[0]));
        Assert.Equal("PARQUET_TYPE", Reason(() => ParquetFiles.Open([path], "n", model.Tokenizer)));
        Assert.Equal("NO_TOKENIZER", Reason(() => ParquetFiles.Open([path], "text", null)));
        Assert.Equal("FILE_NOT_FOUND", Reason(() => ParquetFiles.Open([folder.File("absent")], "text", null)));
        Assert.Equal("NO_FILES", Reason(() => ParquetFiles.Open([], "text", null)));
        Assert.Equal("ROW_LENGTH_TOO_SMALL", Reason(() => ParquetFiles.Open([path], "text", model.Tokenizer, new() { RowLength = 1 })));
        foreach (var bytes in new[] { "this is no parquet file at all"u8.ToArray(), "PAR1PAR1"u8.ToArray(), [], [.. "PAR1"u8, .. "ZZZZPAR1"u8] })
        {
            await File.WriteAllBytesAsync(folder.File("no.parquet"), bytes);
            Assert.Equal("PARQUET_INVALID", Reason(() => ParquetFiles.Open([folder.File("no.parquet")], "text", model.Tokenizer)));
        }
    }

    [Fact]
    public async Task A_file_whose_metadata_do_not_end_is_refused()
    {
        using var folder = new TemporaryFolder();
        using var model = HookedTransformer.FromPretrained(TinyModel.Write(folder.Path));
        var bytes = await File.ReadAllBytesAsync(await WriteTexts(folder, ["abc def", "x y z"]));
        var stop = bytes.Length - 9; // in front of the footer's length and the mark
        foreach (var value in Enumerable.Range(1, 255))
        {
            bytes[stop] = (byte)value;
            await File.WriteAllBytesAsync(folder.File("open.parquet"), bytes);
            Assert.Equal("PARQUET_INVALID", Reason(() => ParquetFiles.Open([folder.File("open.parquet")], "text", model.Tokenizer)));
        }
    }

    [Fact]
    public async Task Whatever_bytes_a_file_holds_it_is_read_or_refused()
    {
        using var folder = new TemporaryFolder();
        using var model = HookedTransformer.FromPretrained(TinyModel.Write(folder.Path));
        var good = await File.ReadAllBytesAsync(await WriteTexts(folder, ["abc def", "x y z"]));
        Gen.Select(Gen.Int[0, good.Length - 1], Gen.Byte, Gen.Int[0, good.Length]).Sample(change =>
        {
            var (at, value, length) = change;
            var bytes = length % 3 == 0 ? good[..Math.Max(length, at + 1)] : [.. good];
            bytes[at] = value;
            File.WriteAllBytes(folder.File("fuzz.parquet"), bytes);
            try
            {
                using var source = ParquetFiles.Open([folder.File("fuzz.parquet")], "text", model.Tokenizer, Options);
                foreach (var row in source.Rows(0)) Assert.InRange(row.Length, 1, Options.RowLength);
            }
            catch (InterpException)
            {
            }
        }, iter: 2000, threads: 1);
    }
}
