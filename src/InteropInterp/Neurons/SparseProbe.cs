namespace InteropInterp.Neurons;

/// <summary>A logistic regression that sees a few neurons, and how well it tells the label.</summary>
/// <param name="Neurons">Which, best first.</param>
/// <param name="Weights">Of each neuron's activation as it is.</param>
/// <param name="Bias">Added to them.</param>
/// <param name="Train">On the tokens it was fitted on.</param>
/// <param name="Test">On those it was not.</param>
public sealed record SparseProbe(IReadOnlyList<int> Neurons, IReadOnlyList<double> Weights, double Bias, ProbeQuality Train, ProbeQuality Test);

/// <summary>How well a probe tells the label; NaN where that has no meaning (no token is or is called true).</summary>
/// <param name="F1">Harmonic mean of precision and recall.</param>
public readonly record struct ProbeQuality(double Accuracy, double Precision, double Recall, double F1)
{
    /// <param name="scores">Above 0 says true.</param>
    internal static ProbeQuality Of(IReadOnlyList<double> scores, IReadOnlyList<bool> labels)
    {
        double both = 0, said = 0, are = 0, right = 0;
        for (var i = 0; i < labels.Count; i++)
        {
            var says = scores[i] > 0;
            both += says && labels[i] ? 1 : 0;
            said += says ? 1 : 0;
            are += labels[i] ? 1 : 0;
            right += says == labels[i] ? 1 : 0;
        }
        return new ProbeQuality(right / labels.Count, both / said, both / are, 2 * both / (said + are));
    }
}
