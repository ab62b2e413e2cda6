using static TorchSharp.torch;

namespace InteropInterp.Plans.Metrics;

/// <summary>A number per row, computed from logits in the engine.</summary>
public abstract record Metric
{
    /// <summary>The position whose logits it reads (negative: from the row's end); null: all of them.</summary>
    public abstract int? ReadsPosition { get; }

    /// <summary>The tokens whose logits it reads, each once; null: all of the vocabulary.</summary>
    public virtual IReadOnlyList<int>? ReadsTokens => null;

    /// <summary>Whether it has a gradient: else it measures, but is no objective.</summary>
    public virtual bool IsDifferentiable => true;

    /// <summary>Refuses what does not fit the model or the rows.</summary>
    public abstract void Check(IReadOnlyList<Row> rows, int vocabulary);

    /// <summary>One value per row.</summary>
    /// <param name="logits">
    /// [rows, vocabulary] at the position it reads, else [rows, pos, vocabulary]; where <see cref="MetricRows.Columns"/> are given,
    /// those alone of the vocabulary.
    /// </param>
    /// <param name="rows">What part of the plan's rows this is.</param>
    /// <returns>[rows].</returns>
    public abstract Tensor PerRow(Tensor logits, MetricRows rows);

    private protected static void CheckTokens(string what, IReadOnlyList<int> tokens, int rows, int vocabulary)
    {
        InterpException.Require(tokens.Count == rows || tokens.Count == 1, "METRIC_ROWS",
            $"The metric names {tokens.Count} {what} tokens; the plan has {rows} rows (one for each, or one for all, is expected).");
        foreach (var token in tokens)
            if (token < 0 || token >= vocabulary)
                throw InterpException.OutOfRange("TOKEN_OUT_OF_RANGE", $"The metric's {what} token {token} is out of range: the vocabulary has {vocabulary}.");
    }

    /// <summary>logits[row, tokens[row]] as [rows].</summary>
    private protected static Tensor Pick(Tensor logits, IReadOnlyList<int> tokens, MetricRows rows)
    {
        var ids = rows.Indices.Select(r => rows.ColumnOf(tokens[tokens.Count == 1 ? 0 : r])).ToArray();
        return logits.gather(1, tensor(ids, device: logits.device).unsqueeze(1)).squeeze(1);
    }
}

/// <param name="Indices">Which rows of the plan.</param>
/// <param name="Tokens">[rows, pos] int64, padded; null where the run started from a residual stream.</param>
/// <param name="Mask">[rows, pos] booleans, false at padding; null where there is none.</param>
public sealed record MetricRows(IReadOnlyList<int> Indices, Tensor? Tokens, Tensor? Mask)
{
    private Dictionary<int, int>? places;

    /// <summary>The tokens whose logits are there, in their order: <see cref="Metric.ReadsTokens"/>; null: all.</summary>
    public IReadOnlyList<int>? Columns { get; init; }

    /// <summary>Where a token's logit stands in the last axis.</summary>
    public long ColumnOf(int token)
    {
        if (Columns is null) return token;
        places ??= Columns.Select((t, i) => (t, i)).ToDictionary(x => x.t, x => x.i);
        return places[token];
    }
}
