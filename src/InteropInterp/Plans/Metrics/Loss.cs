using static TorchSharp.torch;

namespace InteropInterp.Plans.Metrics;

/// <summary>Mean next-token cross-entropy of a row, in nats (TransformerLens's lm_cross_entropy_loss). Padding does not count.</summary>
public sealed record Loss : Metric
{
    public override int? ReadsPosition => null;

    public override void Check(IReadOnlyList<Row> rows, int vocabulary)
    {
        for (var i = 0; i < rows.Count; i++)
        {
            InterpException.Require(rows[i].Length > 1, "LOSS_NEEDS_TWO_TOKENS", $"Row {i} has {rows[i].Length} token: there is no next one to predict.");
            foreach (var token in rows[i].Tokens)
                if (token >= vocabulary)
                    throw InterpException.OutOfRange("TOKEN_OUT_OF_RANGE",
                        $"Row {i} holds token {token}, which this model reads but cannot predict: d_vocab_out is {vocabulary}.");
        }
    }

    public override Tensor PerRow(Tensor logits, MetricRows rows)
    {
        var losses = PerToken(logits, rows.Tokens!);
        if (PairMask(rows.Mask) is not { } mask) return losses.mean([1]);
        var weights = mask.to(losses.dtype);
        return (losses * weights).sum(1) / weights.sum(1);
    }

    /// <summary>The cross-entropy of each next token.</summary>
    /// <param name="logits">[rows, pos, vocabulary].</param>
    /// <param name="tokens">[rows, pos] int64.</param>
    /// <returns>[rows, pos - 1].</returns>
    public static Tensor PerToken(Tensor logits, Tensor tokens)
    {
        var count = logits.size(1) - 1;
        var predicted = logits.narrow(1, 0, count);
        var next = tokens.narrow(1, 1, count).unsqueeze(-1);
        return predicted.logsumexp(-1) - predicted.gather(-1, next).squeeze(-1);
    }

    /// <summary>Mean over all tokens of all rows.</summary>
    public static Tensor Mean(Tensor logits, MetricRows rows)
    {
        var losses = PerToken(logits, rows.Tokens!);
        if (PairMask(rows.Mask) is not { } mask) return losses.mean();
        var weights = mask.to(losses.dtype);
        return (losses * weights).sum() / weights.sum();
    }

    // A token counts where it and its successor are there.
    internal static Tensor? PairMask(Tensor? mask) =>
        mask is null ? null : mask.narrow(1, 0, mask.size(1) - 1).logical_and(mask.narrow(1, 1, mask.size(1) - 1));
}
