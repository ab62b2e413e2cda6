namespace InteropInterp.Circuits;

/// <summary>
/// How good a circuit is: faithful (it does what the model does), complete (nothing of the behaviour is left outside), minimal
/// (nothing in it is idle). Wang et al. 2022, section 4; normalised as Marks et al. 2024.
/// </summary>
public static class CircuitEvaluation
{
    /// <summary>What a circuit recovers of the behaviour, and what is left without it.</summary>
    public static CircuitPerformance Faithfulness(CircuitRunner runner, Circuit circuit, CancellationToken cancellation = default)
    {
        var values = Means(runner, [circuit, circuit.Complement(), Circuit.Empty(runner.Graph)], cancellation);
        return new CircuitPerformance(circuit.EdgeCount, circuit.Nodes.Count, values[0], values[1], runner.Baseline.Average(), values[2]);
    }

    /// <summary>
    /// The metric of circuit and model after the same nodes are knocked out of both: a complete circuit suffers as the model does,
    /// whatever is knocked out.
    /// </summary>
    /// <param name="knockouts">Sets of nodes.</param>
    public static IReadOnlyList<Knockout> Completeness(
        CircuitRunner runner, Circuit circuit, IReadOnlyList<IReadOnlyList<Sender>> knockouts, CancellationToken cancellation = default)
    {
        var whole = Circuit.Full(runner.Graph);
        var values = Means(runner, [.. knockouts.Select(circuit.WithoutNodes), .. knockouts.Select(whole.WithoutNodes)], cancellation);
        return [.. knockouts.Select((nodes, i) => new Knockout(nodes, values[i], values[knockouts.Count + i]))];
    }

    /// <summary>By how much the circuit's metric moves without each of its nodes, largest first: no node of a minimal circuit is
    /// idle.</summary>
    public static IReadOnlyList<(Sender Node, double Change)> Minimality(CircuitRunner runner, Circuit circuit,
        CancellationToken cancellation = default)
    {
        var nodes = circuit.Nodes;
        var values = Means(runner, [circuit, .. nodes.Select(n => circuit.WithoutNodes([n]))], cancellation);
        return [.. nodes.Select((node, i) => (node, Math.Abs(values[i + 1] - values[0]))).OrderByDescending(x => x.Item2)];
    }

    /// <summary>Size against recovered behaviour, circuit by circuit: the Pareto curve of a ranking of edges or nodes.</summary>
    public static IReadOnlyList<CircuitPerformance> Curve(CircuitRunner runner, IReadOnlyList<Circuit> circuits,
        CancellationToken cancellation = default)
    {
        var values = Means(runner, [Circuit.Empty(runner.Graph), .. circuits], cancellation);
        return [.. circuits.Select((c, i) => new CircuitPerformance(c.EdgeCount, c.Nodes.Count, values[i + 1], null,
            runner.Baseline.Average(), values[0]))];
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

    private static List<double> Means(CircuitRunner runner, IReadOnlyList<Circuit> circuits, CancellationToken cancellation) =>
        [.. runner.Run(circuits, cancellation).Select(perRow => perRow.Average())];
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
