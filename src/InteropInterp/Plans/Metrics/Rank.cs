using static TorchSharp.torch;

namespace InteropInterp.Plans.Metrics;

/// <summary>How many tokens have a larger logit than a token at one position: 0 is the best.</summary>
/// <param name="Tokens">Token ids, one per row or one for all.</param>
public sealed record Rank(IReadOnlyList<int> Tokens) : Metric
{
    /// <summary>Where it is read; negative: from the row's end.</summary>
    public int Position { get; init; } = -1;

    public override int? ReadsPosition => Position;

    public override bool IsDifferentiable => false;

    public override void Check(IReadOnlyList<Row> rows, int vocabulary) => CheckTokens("target", Tokens, rows.Count, vocabulary);

    public override Tensor PerRow(Tensor logits, MetricRows rows) => logits.gt(Pick(logits, Tokens, rows).unsqueeze(-1)).sum(-1).to(logits.dtype);
}
