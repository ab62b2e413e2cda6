using static TorchSharp.torch;

namespace InteropInterp.Plans.Metrics;

/// <summary>1 where a token's logit at one position is the largest (a tie counts), else 0.</summary>
/// <param name="Tokens">Token ids, one per row or one for all.</param>
public sealed record Accuracy(IReadOnlyList<int> Tokens) : Metric
{
    /// <summary>Where it is read; negative: from the row's end.</summary>
    public int Position { get; init; } = -1;

    public override int? ReadsPosition => Position;

    public override bool IsDifferentiable => false;

    public override void Check(IReadOnlyList<Row> rows, int vocabulary) => CheckTokens("target", Tokens, rows.Count, vocabulary);

    public override Tensor PerRow(Tensor logits, MetricRows rows) => Pick(logits, Tokens, rows).ge(logits.amax([-1])).to(logits.dtype);
}
