using static TorchSharp.torch;

namespace InteropInterp.Plans.Metrics;

/// <summary>What of a token is weighted.</summary>
public enum TokenMeasure
{
    Logit,
    LogProb,
    Prob,
}

/// <summary>
/// An objective of one's own: the weighted sum over some tokens of their logits, log-probabilities or probabilities at one position.
/// With weights of +1 for years that are later and -1 for others it is the probability difference of "greater than" (Hanna et al. 2023).
/// </summary>
/// <param name="Tokens">Token ids, each once.</param>
/// <param name="Weights">[rows of the plan, tokens], or [1, tokens] for all rows. Borrowed.</param>
public sealed record Weighted(IReadOnlyList<int> Tokens, Tensor Weights, TokenMeasure Of = TokenMeasure.Logit) : Metric
{
    /// <summary>Where it is read; negative: from the row's end.</summary>
    public int Position { get; init; } = -1;

    public override int? ReadsPosition => Position;

    public override IReadOnlyList<int>? ReadsTokens => Of == TokenMeasure.Logit ? Tokens : null;

    public override void Check(IReadOnlyList<Row> rows, int vocabulary)
    {
        InterpException.Require(Tokens.Count > 0, "METRIC_TOKENS", "The metric weights 0 tokens; at least one is expected.");
        var seen = new HashSet<int>();
        foreach (var token in Tokens)
        {
            if (token < 0 || token >= vocabulary)
                throw InterpException.OutOfRange("TOKEN_OUT_OF_RANGE", $"The metric's token {token} is out of range: the vocabulary has {vocabulary}.");
            InterpException.Require(seen.Add(token), "METRIC_TOKENS", $"The metric weights token {token} twice.");
        }
        var fits = Weights.dim() == 2 && Weights.size(1) == Tokens.Count && (Weights.size(0) == rows.Count || Weights.size(0) == 1);
        InterpException.Require(fits, "METRIC_WEIGHTS",
            $"The metric's weights are [{string.Join(", ", Weights.shape)}]; [{rows.Count}, {Tokens.Count}] (rows, tokens) or [1, {Tokens.Count}] is expected.");
    }

    public override Tensor PerRow(Tensor logits, MetricRows rows)
    {
        var measured = Of switch { TokenMeasure.LogProb => logits.log_softmax(-1), TokenMeasure.Prob => logits.softmax(-1), _ => logits };
        var chosen = measured.index_select(1, tensor(Tokens.Select(rows.ColumnOf).ToArray(), device: logits.device));
        var weights = Weights.to(logits.dtype, logits.device);
        if (weights.size(0) > 1) weights = weights.index_select(0, tensor(rows.Indices.Select(r => (long)r).ToArray(), device: logits.device));
        return (chosen * weights).sum(-1);
    }
}
