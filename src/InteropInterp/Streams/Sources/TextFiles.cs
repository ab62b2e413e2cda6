using System.Text;
using System.Text.Json;
using InteropInterp.Models;
using InteropInterp.Tokens;

namespace InteropInterp.Streams.Sources;

/// <summary>What a document is in a text file.</summary>
public enum TextDocuments
{
    /// <summary>The file.</summary>
    File,

    /// <summary>A line that is not empty.</summary>
    Line,

    /// <summary>Lines up to an empty one.</summary>
    Paragraph,

    /// <summary>A line that is a JSON object, of which one field is the text (JSONL).</summary>
    JsonLine,
}

/// <summary>Text files as a stream of documents.</summary>
public static class TextFiles
{
    /// <summary>Characters a document has at most: it is held in memory whole.</summary>
    public const int LongestDocument = 64 << 20;

    /// <param name="paths">UTF-8.</param>
    /// <param name="field">The field that holds the text, for <see cref="TextDocuments.JsonLine"/>.</param>
    /// <exception cref="InterpException">NO_FILES, FILE_NOT_FOUND, and those of <see cref="DocumentSource"/>; while rows are read
    /// TEXT_NOT_UTF8, DOCUMENT_TOO_LONG, JSON_LINE_INVALID, which name file and line.</exception>
    public static DocumentSource Open(
        IReadOnlyList<string> paths, ModelTokenizer tokenizer, TextDocuments documents = TextDocuments.Line,
        TokenizedCorpusOptions? options = null, string field = "text")
    {
        StreamFiles.Require(paths);
        return new DocumentSource(tokenizer, () => paths.SelectMany(path => Documents(path, documents, field)),
            () => $"text {FileDigest.Of(paths)} by {documents} {field}", options);
    }

    private static IEnumerable<string> Documents(string path, TextDocuments documents, string field)
    {
        var lines = Lines(path, documents == TextDocuments.File);
        return documents switch
        {
            TextDocuments.Line or TextDocuments.File => lines.Where(line => line.Text.Length > 0).Select(line => line.Text),
            TextDocuments.JsonLine => lines.Where(line => line.Text.Length > 0).Select(line => Field(path, line.Number, line.Text, field)),
            _ => Paragraphs(path, lines),
        };
    }

    private static IEnumerable<string> Paragraphs(string path, IEnumerable<(long Number, string Text)> lines)
    {
        var paragraph = new StringBuilder();
        foreach (var (number, text) in lines)
        {
            if (text.Length > 0)
            {
                if (paragraph.Length > 0) paragraph.Append('\n');
                paragraph.Append(text);
                RequireShort(path, number, paragraph.Length);
                continue;
            }
            if (paragraph.Length > 0) yield return paragraph.ToString();
            paragraph.Clear();
        }
        if (paragraph.Length > 0) yield return paragraph.ToString();
    }

    // A line may be as long as a file, so its length is looked at as it is read.
    private static IEnumerable<(long Number, string Text)> Lines(string path, bool isWhole)
    {
        using var reader = new StreamReader(path, new UTF8Encoding(false, throwOnInvalidBytes: true), detectEncodingFromByteOrderMarks: true, 1 << 16);
        var buffer = new char[1 << 16];
        var line = new StringBuilder();
        var number = 1L;
        for (int count; (count = Read(reader, buffer, path, number)) > 0;)
        {
            var left = buffer.AsMemory(0, count);
            while (!isWhole && left.Span.IndexOf('\n') is var end and >= 0)
            {
                line.Append(left.Span[..end]);
                yield return (number++, line.ToString().TrimEnd('\r'));
                line.Clear();
                left = left[(end + 1)..];
            }
            line.Append(left.Span);
            RequireShort(path, number, line.Length);
        }
        if (line.Length > 0) yield return (number, isWhole ? line.ToString() : line.ToString().TrimEnd('\r'));
    }

    private static int Read(StreamReader reader, char[] buffer, string path, long line)
    {
        try
        {
            return reader.Read(buffer);
        }
        catch (DecoderFallbackException e)
        {
            throw InterpException.DataLoss("TEXT_NOT_UTF8", $"'{path}' is not UTF-8, at line {line} or soon after.", e);
        }
    }

    private static string Field(string path, long number, string line, string field)
    {
        try
        {
            using var json = JsonDocument.Parse(line);
            if (json.RootElement.ValueKind == JsonValueKind.Object && json.RootElement.TryGetProperty(field, out var value)
                && value.ValueKind == JsonValueKind.String) return value.GetString()!;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw InterpException.DataLoss("JSON_LINE_INVALID", $"'{path}', line {number}: no JSON object with a text in '{field}'.", e);
        }
        throw InterpException.DataLoss("JSON_LINE_INVALID", $"'{path}', line {number}: a JSON object with a text in '{field}' is expected.");
    }

    private static void RequireShort(string path, long line, long length)
    {
        if (length > LongestDocument)
            throw InterpException.OutOfRange("DOCUMENT_TOO_LONG",
                $"'{path}', line {line}: a document has more than {LongestDocument:N0} characters, the most one may have. Cut it by lines.");
    }
}
