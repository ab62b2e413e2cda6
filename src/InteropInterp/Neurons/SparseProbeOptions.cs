namespace InteropInterp.Neurons;

/// <summary>By what the neurons of a probe are chosen.</summary>
public enum ProbeSelection
{
    /// <summary>|mean where the label is true − mean where it is not|, in the neuron's standard deviations.</summary>
    MeanDifference,

    /// <summary>The neurons that a logistic regression with an L1 penalty keeps longest as the penalty rises from nothing.</summary>
    L1,
}

/// <summary>How sparse probes are fitted.</summary>
public sealed record SparseProbeOptions
{
    /// <summary>Neurons of each probe.</summary>
    public IReadOnlyList<int> Sizes { get; init; } = [1, 2, 4, 8, 16];

    public ProbeSelection Selection { get; init; } = ProbeSelection.MeanDifference;

    /// <summary>Inverse of the L2 penalty, as scikit-learn's: ½|w|² + C · sum of losses.</summary>
    public double C { get; init; } = 1;

    /// <summary>Share of the groups that no probe is fitted on.</summary>
    public double TestShare { get; init; } = 0.3;

    /// <summary>What stays together on one side of the split: the row each token came from; null: each token by itself.</summary>
    public IReadOnlyList<long>? Groups { get; init; }

    public ulong Seed { get; init; }
}
