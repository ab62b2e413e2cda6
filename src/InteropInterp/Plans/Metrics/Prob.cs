using static TorchSharp.torch;

namespace InteropInterp.Plans.Metrics;

/// <summary>The probability of a token at one position. It saturates: near 0 and 1 large changes of the logits do not show.</summary>
/// <param name="Tokens">Token ids, one per row or one for all.</param>
public sealed record Prob(IReadOnlyList<int> Tokens) : Metric
{
    /// <summary>Where it is read; negative: from the row's end.</summary>
    public int Position { get; init; } = -1;

    public override int? ReadsPosition => Position;

    public override void Check(IReadOnlyList<Row> rows, int vocabulary) => CheckTokens("target", Tokens, rows.Count, vocabulary);

    public override Tensor PerRow(Tensor logits, MetricRows rows) => (Pick(logits, Tokens, rows) - logits.logsumexp(-1)).exp();
}
