using InteropInterp.Native.Devices;

namespace InteropInterp.Circuits;

/// <summary>
/// How good a circuit is: faithful (it does what the model does), complete (nothing of the behaviour is left outside), minimal
/// (nothing in it is idle). Wang et al. 2022, section 4; normalised as Marks et al. 2024.
/// </summary>
public static class CircuitEvaluation
{
    /// <summary>What a circuit recovers of the behaviour, and what is left without it.</summary>
    public static CircuitPerformance Faithfulness(CircuitRunner runner, Circuit circuit, CancellationToken cancellation = default) =>
        Run(runner, [circuit], outside: true, cancellation)[0];

    /// <summary>Size against recovered behaviour, circuit by circuit: the Pareto curve of a ranking of edges or nodes.</summary>
    public static IReadOnlyList<CircuitPerformance> Curve(CircuitRunner runner, IReadOnlyList<Circuit> circuits,
        CancellationToken cancellation = default) => Run(runner, circuits, outside: false, cancellation);

    /// <summary>What circuits recover, pass by pass.</summary>
    /// <param name="outside">Also what is left without each of them.</param>
    /// <exception cref="InterpException">CIRCUIT_OF_OTHER_MODEL.</exception>
    public static IStepwise<IReadOnlyList<CircuitPerformance>> Start(
        CircuitRunner runner, IReadOnlyList<Circuit> circuits, bool outside = true)
    {
        var complements = outside ? circuits.Select(c => c.Complement()) : [];
        var count = circuits.Count;
        var means = Means(runner, [Circuit.Empty(runner.Graph), .. circuits, .. complements]);
        return means.Then<List<double>, IReadOnlyList<CircuitPerformance>>(values =>
            [.. circuits.Select((c, i) => new CircuitPerformance(c.EdgeCount, c.Nodes.Count, values[1 + i],
                outside ? values[1 + count + i] : null, runner.Baseline.Average(), values[0]))]);
    }

    /// <summary>
    /// The metric of circuit and model after the same nodes are knocked out of both: a complete circuit suffers as the model does,
    /// whatever is knocked out.
    /// </summary>
    /// <param name="knockouts">Sets of nodes.</param>
    public static IReadOnlyList<Knockout> Completeness(
        CircuitRunner runner, Circuit circuit, IReadOnlyList<IReadOnlyList<Sender>> knockouts, CancellationToken cancellation = default) =>
        Drive(runner, StartCompleteness(runner, circuit, knockouts), cancellation);

    /// <summary>The same, pass by pass.</summary>
    /// <exception cref="InterpException">UNKNOWN_SENDER, CIRCUIT_OF_OTHER_MODEL.</exception>
    public static IStepwise<IReadOnlyList<Knockout>> StartCompleteness(
        CircuitRunner runner, Circuit circuit, IReadOnlyList<IReadOnlyList<Sender>> knockouts)
    {
        var whole = Circuit.Full(runner.Graph);
        return Means(runner, [.. knockouts.Select(circuit.WithoutNodes), .. knockouts.Select(whole.WithoutNodes)])
            .Then<List<double>, IReadOnlyList<Knockout>>(values =>
                [.. knockouts.Select((nodes, i) => new Knockout(nodes, values[i], values[knockouts.Count + i]))]);
    }

    /// <summary>By how much the circuit's metric moves without each of its nodes, largest first: no node of a minimal circuit is
    /// idle.</summary>
    public static IReadOnlyList<(Sender Node, double Change)> Minimality(CircuitRunner runner, Circuit circuit,
        CancellationToken cancellation = default) => Drive(runner, StartMinimality(runner, circuit), cancellation);

    /// <summary>The same, pass by pass.</summary>
    /// <exception cref="InterpException">CIRCUIT_OF_OTHER_MODEL.</exception>
    public static IStepwise<IReadOnlyList<(Sender Node, double Change)>> StartMinimality(CircuitRunner runner, Circuit circuit)
    {
        var nodes = circuit.Nodes;
        return Means(runner, [circuit, .. nodes.Select(n => circuit.WithoutNodes([n]))])
            .Then<List<double>, IReadOnlyList<(Sender, double)>>(values =>
                [.. nodes.Select((node, i) => (node, Math.Abs(values[i + 1] - values[0]))).OrderByDescending(x => x.Item2)]);
    }

    /// <summary>Circuits of the highest-scored edges, of growing size.</summary>
    public static IReadOnlyList<Circuit> TopEdges(EdgeScores scores, IReadOnlyList<int> sizes, bool absolute = true) =>
        [.. sizes.Select(n => Circuit.Top(scores, n, absolute))];

    /// <summary>Circuits of the highest-scored nodes (in the order given), of growing size; the embedding is in all of them.</summary>
    public static IReadOnlyList<Circuit> TopNodes(ResidualGraph graph, IReadOnlyList<Sender> ranked, IReadOnlyList<int> sizes)
    {
        foreach (var size in sizes)
            if (size < 0 || size > ranked.Count) throw InterpException.OutOfRange("CIRCUIT_SIZE",
                $"A circuit of {size} nodes: {ranked.Count} are ranked.");
        return [.. sizes.Select(n => Circuit.OfNodes(graph, ranked.Take(n)))];
    }

    private static IReadOnlyList<CircuitPerformance> Run(
        CircuitRunner runner, IReadOnlyList<Circuit> circuits, bool outside, CancellationToken cancellation) =>
        Drive(runner, Start(runner, circuits, outside), cancellation);

    private static TResult Drive<TResult>(CircuitRunner runner, IStepwise<TResult> work, CancellationToken cancellation) =>
        DeviceLeases.Of(runner.Device).Run(work, cancellation);

    private static IStepwise<List<double>> Means(CircuitRunner runner, IReadOnlyList<Circuit> circuits) =>
        runner.Start(circuits).Then<IReadOnlyList<double[]>, List<double>>(values => [.. values.Select(perRow => perRow.Average())]);
}

/// <summary>A circuit's size and metric beside those of the whole model and of no circuit at all.</summary>
/// <param name="Edges">In the circuit.</param>
/// <param name="Nodes">Senders with an edge in it.</param>
/// <param name="Value">The metric with all else ablated.</param>
/// <param name="Outside">The metric with the circuit ablated and all else left; null where it was not asked for.</param>
/// <param name="Whole">Of the model.</param>
/// <param name="None">With every edge ablated.</param>
public sealed record CircuitPerformance(int Edges, int Nodes, double Value, double? Outside, double Whole, double None)
{
    /// <summary>Faithfulness: 0 as with every edge ablated, 1 as the model; beyond either where components work against it.</summary>
    public double Recovered => (Value - None) / (Whole - None);

    /// <summary>Completeness (Marks et al. 2024): the same of what is outside; 0 where nothing of the behaviour is left there.</summary>
    public double? RecoveredOutside => Outside is { } outside ? (outside - None) / (Whole - None) : null;
}

/// <param name="Nodes">Knocked out of both.</param>
/// <param name="Circuit">The circuit's metric without them.</param>
/// <param name="Model">The whole model's.</param>
public sealed record Knockout(IReadOnlyList<Sender> Nodes, double Circuit, double Model)
{
    /// <summary>|F(C \ K) - F(M \ K)| (Wang et al. 2022).</summary>
    public double Incompleteness => Math.Abs(Circuit - Model);
}
