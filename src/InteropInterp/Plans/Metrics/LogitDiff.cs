using static TorchSharp.torch;

namespace InteropInterp.Plans.Metrics;

/// <summary>logit(correct) - logit(incorrect) at one position (Wang et al. 2022, "Interpretability in the Wild").</summary>
/// <param name="Correct">Token ids, one per row or one for all.</param>
/// <param name="Incorrect">Likewise.</param>
public sealed record LogitDiff(IReadOnlyList<int> Correct, IReadOnlyList<int> Incorrect) : Metric
{
    /// <summary>Where the answer is read; negative: from the row's end.</summary>
    public int Position { get; init; } = -1;

    public override int? ReadsPosition => Position;

    public override IReadOnlyList<int> ReadsTokens => [.. Correct.Concat(Incorrect).Distinct()];

    public override void Check(IReadOnlyList<Row> rows, int vocabulary)
    {
        CheckTokens("correct", Correct, rows.Count, vocabulary);
        CheckTokens("incorrect", Incorrect, rows.Count, vocabulary);
    }

    public override Tensor PerRow(Tensor logits, MetricRows rows) => Pick(logits, Correct, rows) - Pick(logits, Incorrect, rows);
}
