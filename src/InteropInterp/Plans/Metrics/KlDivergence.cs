using static TorchSharp.torch;

namespace InteropInterp.Plans.Metrics;

/// <summary>
/// KL(reference || run) of the next-token distributions at one position, in nats (ACDC's and circuit evaluation's metric: Conmy et
/// al. 2023): how much of the reference's behaviour is lost.
/// </summary>
/// <param name="Reference">The reference run's logits there: [rows of the plan, vocabulary]. Borrowed.</param>
public sealed record KlDivergence(Tensor Reference) : Metric
{
    /// <summary>Where it is read; negative: from the row's end.</summary>
    public int Position { get; init; } = -1;

    public override int? ReadsPosition => Position;

    public override void Check(IReadOnlyList<Row> rows, int vocabulary)
    {
        if (Reference.dim() == 2 && Reference.size(0) == rows.Count && Reference.size(1) == vocabulary) return;
        throw InterpException.Invalid("METRIC_REFERENCE",
            $"The reference logits are [{string.Join(", ", Reference.shape)}]; [rows, vocabulary] = [{rows.Count}, {vocabulary}] is expected: the clean run's at the position that is read.");
    }

    public override Tensor PerRow(Tensor logits, MetricRows rows)
    {
        var index = tensor(rows.Indices.Select(r => (long)r).ToArray(), device: Reference.device);
        var expected = Reference.index_select(0, index).to(logits.dtype, logits.device).log_softmax(-1);
        return (expected.exp() * (expected - logits.log_softmax(-1))).sum(-1);
    }
}
