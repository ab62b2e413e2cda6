using InteropInterp.Plans;
using InteropInterp.Plans.Metrics;

namespace InteropInterp.Attribution;

/// <summary>Where the gradient of an edge is taken.</summary>
public enum EdgeMethod
{
    /// <summary>In the run that is changed (edge attribution patching, Syed et al. 2023): one forward and backward pass.</summary>
    Gradient,

    /// <summary>
    /// Averaged along the way of the embedding from that run to the other (EAP-IG, Hanna et al. 2024, "Have Faith in
    /// Faithfulness"): a pass per step.
    /// </summary>
    IntegratedInputs,

    /// <summary>
    /// For each sender averaged along the way of its own output, heads of a layer together (Marks et al. 2024; EAP-IG's
    /// "ig-activations"): a pass per step for the embedding, each layer's attention and each MLP.
    /// </summary>
    IntegratedActivations,
}

/// <summary>
/// Attribution patching of edges: (sender's output there - here) · gradient of the metric at what the receiver reads, for all
/// edges of the residual graph at once.
/// </summary>
public sealed record EdgePatch
{
    /// <summary>Rows of equal length; interventions hold in all of it.</summary>
    public required Plan Clean { get; init; }

    /// <summary>As many rows, as long.</summary>
    public required Plan Corrupt { get; init; }

    /// <summary>Its mean over rows is what changes.</summary>
    public required Metric Metric { get; init; }

    /// <summary>One of the two. Noising, the corrupted run's values in the clean run, is what the papers do.</summary>
    public PatchDirections Direction { get; init; } = PatchDirections.Noising;

    public EdgeMethod Method { get; init; } = EdgeMethod.Gradient;

    /// <summary>Points of the average, at the middles of as many equal parts of the way (the papers: at their ends).</summary>
    public int Steps { get; init; } = 5;
}
