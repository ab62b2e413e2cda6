using InteropInterp.Corpora;
using InteropInterp.Protocol.Errors;
using InteropInterp.Protocol.Sessions;
using InteropInterp.Streams;
using InteropInterp.Streams.Sources;
using InteropInterp.Tensors;
using InteropInterp.Tokens;
using static InteropInterp.Protocol.V1.TokenSource;

namespace InteropInterp.Protocol.Mapping;

/// <summary>Streams: their sources, plans and results.</summary>
public static class StreamMapping
{
    /// <summary>Opens what a stream runs over; paths are below the roots.</summary>
    /// <exception cref="InterpException">FIELD_MISSING, UNKNOWN_ENUM_VALUE, and those of the sources.</exception>
    public static ITokenSource Source(V1.TokenSource? message, ModelHandle model, ModelRoots roots, string field = "plan.source") => message?.KindCase switch
    {
        KindOneofCase.Rows => new RowSource(message.Rows.Rows.Select(row => (IReadOnlyList<int>)row.Tokens)),
        KindOneofCase.Text => TextFiles.Open(
            Paths(message.Text.Paths, roots), model.Tokenizer, Documents(message.Text.Documents, $"{field}.text.documents"),
            Rows(message.Text.Rows), message.Text.Field.Length > 0 ? message.Text.Field : "text"),
        KindOneofCase.Shards => new TokenShards(Paths(message.Shards.Paths, roots), new TokenShardOptions
        {
            RowLength = message.Shards.HasRowLength ? message.Shards.RowLength : new TokenShardOptions().RowLength,
            Bos = message.Shards.HasBos ? message.Shards.Bos : null,
            Raw = Type(message.Shards.Raw, $"{field}.shards.raw"),
            Tensor = message.Shards.Tensor.Length > 0 ? message.Shards.Tensor : null,
        }),
        KindOneofCase.Parquet => ParquetFiles.Open(
            Paths(message.Parquet.Paths, roots),
            message.Parquet.Column.Length > 0 ? message.Parquet.Column : throw Fields.Missing($"{field}.parquet.column", "the name of a column"),
            model.HasTokenizer ? model.Tokenizer : null, Rows(message.Parquet.Rows)),
        _ => throw Fields.Missing(field, "rows, text, shards or parquet"),
    };

    /// <exception cref="InterpException">FIELD_MISSING, errors of tensors and references; each names the field.</exception>
    public static StreamPlan ToEngine(V1.StreamPlan message, ITokenSource source, IReferences references, ModelRoots roots, string field = "plan")
    {
        var defaults = new StreamPlan { Source = source, Probes = [] };
        return defaults with
        {
            Probes = [.. message.Probes.Select((p, i) => Probe(p, references, $"{field}.probes[{i}]"))],
            Flags = ModelMapping.ToEngine(message.Flags),
            Interventions = [.. message.Interventions.Select((v, i) => InterventionMapping.ToEngine(v, references, $"{field}.interventions[{i}]"))],
            SkipFirst = message.SkipFirst,
            IgnoredTokens = [.. message.IgnoredTokens],
            MaxTokens = message.HasMaxTokens ? message.MaxTokens : null,
            BatchTokens = message.HasBatchTokens ? message.BatchTokens : defaults.BatchTokens,
            MemoryLimit = message.HasMemoryLimitBytes ? message.MemoryLimitBytes : defaults.MemoryLimit,
            Checkpoint = message.Checkpoint.Length > 0 ? roots.ToWrite(message.Checkpoint) : null,
            CheckpointEvery = message.HasCheckpointEvery ? message.CheckpointEvery : defaults.CheckpointEvery,
        };
    }

    public static V1.StreamProgress ToProto(StreamExecution execution)
    {
        var progress = execution.Progress;
        var message = new V1.StreamProgress { Rows = progress.Rows, Tokens = progress.Tokens, IsDone = execution.IsDone };
        if (progress.TotalRows is { } rows) message.TotalRows = rows;
        if (progress.TotalTokens is { } tokens) message.TotalTokens = tokens;
        return message;
    }

    public static V1.GetStreamResultResponse ToProto(StreamResult result, StreamExecution execution, Func<TorchSharp.torch.Tensor, V1.Tensor> give) => new()
    {
        Probes =
        {
            result.Probes.Select(probe => new V1.ProbeResult
            {
                Name = probe.Name, Unit = { probe.Unit },
                Tensors = { probe.Tensors.Select(t => new V1.NamedTensor { Name = t.Key, Tensor = give(t.Value) }) },
            }),
        },
        Progress = ToProto(execution),
    };

    private static StreamProbe Probe(V1.StreamProbe message, IReferences references, string field)
    {
        var capture = CaptureMapping.ToEngine(
            new V1.Capture { Point = message.Point, Where = message.Where, Name = message.Name, Codes = message.Codes }, references, field);
        return new StreamProbe(capture.Point, [.. message.Statistics.Select((s, i) => StatisticMapping.ToEngine(s, $"{field}.statistics[{i}]"))])
        {
            Where = capture.Where, Name = capture.Name, Transform = capture.Transform,
        };
    }

    private static string[] Paths(IEnumerable<string> paths, ModelRoots roots) => [.. paths.Select(roots.ToRead)];

    private static TokenizedCorpusOptions Rows(V1.RowOptions? message)
    {
        var defaults = new TokenizedCorpusOptions();
        return message is null ? defaults : defaults with
        {
            RowLength = message.HasRowLength ? message.RowLength : defaults.RowLength,
            PrependBos = !message.NoBos,
            DocumentsPerBatch = message.HasDocumentsPerBatch ? message.DocumentsPerBatch : defaults.DocumentsPerBatch,
        };
    }

    private static TextDocuments Documents(V1.TextDocuments documents, string field) => documents switch
    {
        V1.TextDocuments.Unspecified or V1.TextDocuments.Line => TextDocuments.Line,
        V1.TextDocuments.File => TextDocuments.File,
        V1.TextDocuments.Paragraph => TextDocuments.Paragraph,
        V1.TextDocuments.JsonLine => TextDocuments.JsonLine,
        _ => throw Fields.UnknownValue(field, documents),
    };

    private static StorageType Type(V1.TokenType type, string field) => type switch
    {
        V1.TokenType.Unspecified or V1.TokenType.U16 => StorageType.U16,
        V1.TokenType.U32 => StorageType.U32,
        V1.TokenType.I32 => StorageType.I32,
        V1.TokenType.I64 => StorageType.I64,
        _ => throw Fields.UnknownValue(field, type),
    };
}
