using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Evaluation;

/// <summary>What a splice does to a model's predictions.</summary>
public static class LogitMetrics
{
    /// <summary>KL(p ‖ q) = Σ p (log p − log q) of each position, in nats; p from the clean logits, q from the others.</summary>
    /// <param name="clean">[..., vocabulary].</param>
    /// <param name="other">[..., vocabulary].</param>
    /// <returns>[...].</returns>
    public static Tensor KlDivergence(Tensor clean, Tensor other)
    {
        InterpException.Require(clean.shape.SequenceEqual(other.shape), "METRIC_SHAPES",
            $"Logits [{string.Join(", ", clean.shape)}] and [{string.Join(", ", other.shape)}] must be of the same tokens.");
        using var scope = NewDisposeScope();
        var p = clean.log_softmax(-1);
        return (p.exp() * (p - other.log_softmax(-1))).sum(-1).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// (ablated − spliced) / (ablated − clean): the share of what the layer is worth that the dictionary keeps. 1: the splice costs
    /// nothing (SAELens's ce_loss_score with zero ablation).
    /// </summary>
    public static double Recovered(double clean, double spliced, double ablated) => (ablated - spliced) / (ablated - clean);
}
