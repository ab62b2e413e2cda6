using InteropInterp.Plans;
using InteropInterp.Plans.Metrics;

namespace InteropInterp.Circuits.Paths;

/// <summary>
/// Path patching (Wang et al. 2022, "Interpretability in the Wild"; Goldowsky-Dill et al. 2023) along direct paths: senders take
/// the values they have on other rows, and only what receivers read of them changes; every other component that stands between
/// keeps its value of the base run. Then the base run goes on from there, with the receivers' inputs held at those values.
/// Each set of senders with each set of receivers is a cell.
/// </summary>
public sealed record PathPatch
{
    /// <summary>What runs: rows, and nothing else.</summary>
    public required Plan Base { get; init; }

    /// <summary>Where senders' values come from: as many rows, as long; it may have interventions.</summary>
    public required Plan Source { get; init; }

    /// <summary>The first axis of the result: sets of senders, each patched together.</summary>
    public required IReadOnlyList<IReadOnlyList<Sender>> Senders { get; init; }

    /// <summary>The second axis: sets of receivers, each patched together.</summary>
    public required IReadOnlyList<IReadOnlyList<Receiver>> Receivers { get; init; }

    public required Metric Metric { get; init; }

    /// <summary>
    /// MLPs between sender and receiver keep their values. False: they are recomputed (and heads are not), as in the paper's
    /// section 3.1, so that paths may lead through them.
    /// </summary>
    public bool FreezeMlps { get; init; } = true;

    /// <summary>
    /// Norms through which a patched input goes (the receiver's own, the final one, those of recomputed MLPs) divide by the
    /// base run's scale, so that effects of senders add up.
    /// </summary>
    public bool FreezeNorms { get; init; }

    /// <summary>Where senders take other values.</summary>
    public Positions SenderPositions { get; init; } = Positions.All;

    /// <summary>Where receivers' inputs are held.</summary>
    public Positions ReceiverPositions { get; init; } = Positions.All;

    /// <summary>Told (cells done, cells in all) after every pass.</summary>
    public Action<int, int>? Progress { get; init; }

    /// <summary>Each head of a model as a set of its own, layer by layer.</summary>
    public static IReadOnlyList<IReadOnlyList<Sender>> EachHead(Models.TransformerConfig config) =>
        [.. Enumerable.Range(0, config.LayerCount).SelectMany(layer =>
            Enumerable.Range(0, config.HeadCount).Select(head => (IReadOnlyList<Sender>)[Sender.Head(layer, head)]))];
}
