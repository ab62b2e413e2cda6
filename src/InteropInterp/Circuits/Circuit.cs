namespace InteropInterp.Circuits;

/// <summary>A set of edges of a model's residual graph. Immutable.</summary>
public sealed class Circuit
{
    private readonly bool[,] edges;

    private Circuit(ResidualGraph graph, bool[,] edges) => (Graph, this.edges) = (graph, edges);

    public ResidualGraph Graph { get; }

    /// <summary>Edges in it.</summary>
    public int EdgeCount => edges.Cast<bool>().Count(x => x);

    /// <summary>Its edges, receiver by receiver.</summary>
    public IEnumerable<(int Sender, int Receiver)> Edges
    {
        get
        {
            for (var receiver = 0; receiver < Graph.Receivers.Count; receiver++)
                for (var sender = 0; sender < Graph.Reaching(receiver); sender++)
                    if (edges[sender, receiver]) yield return (sender, receiver);
        }
    }

    /// <summary>The senders with an edge that is in it.</summary>
    public IReadOnlyList<Sender> Nodes => [.. Graph.Senders.Where((_, s) => HasEdgeFrom(s))];

    /// <summary>All edges.</summary>
    public static Circuit Full(ResidualGraph graph) => Of(graph, (_, _) => true);

    /// <summary>No edge.</summary>
    public static Circuit Empty(ResidualGraph graph) => Of(graph, (_, _) => false);

    /// <summary>The edges for which a condition on (sender's, receiver's place in the graph) holds.</summary>
    public static Circuit Of(ResidualGraph graph, Func<int, int, bool> contains)
    {
        var edges = new bool[graph.Senders.Count, graph.Receivers.Count];
        for (var receiver = 0; receiver < graph.Receivers.Count; receiver++)
            for (var sender = 0; sender < graph.Reaching(receiver); sender++) edges[sender, receiver] = contains(sender, receiver);
        return new Circuit(graph, edges);
    }

    /// <summary>The highest-scored edges.</summary>
    /// <param name="count">How many.</param>
    /// <param name="absolute">By absolute value.</param>
    /// <exception cref="InterpException">CIRCUIT_SIZE: more edges than there are, or fewer than none.</exception>
    public static Circuit Top(EdgeScores scores, int count, bool absolute = true)
    {
        if (count < 0 || count > scores.Graph.EdgeCount)
            throw InterpException.OutOfRange("CIRCUIT_SIZE", $"A circuit of {count} edges: the graph has {scores.Graph.EdgeCount}.");
        var chosen = scores.Ranked(absolute).Take(count).Select(e => (e.Sender, e.Receiver)).ToHashSet();
        return Of(scores.Graph, (s, r) => chosen.Contains((s, r)));
    }

    /// <summary>All that some nodes write: everything else is ablated for whoever reads it. The embedding is always among them.</summary>
    public static Circuit OfNodes(ResidualGraph graph, IEnumerable<Sender> nodes)
    {
        var chosen = nodes.Append(Sender.Input).Select(graph.IndexOf).ToHashSet();
        return Of(graph, (s, _) => chosen.Contains(s));
    }

    /// <summary>Edges by their names: a0.h1->a2.h3&lt;q&gt;.</summary>
    /// <exception cref="InterpException">UNKNOWN_EDGE, UNKNOWN_SENDER, UNKNOWN_RECEIVER, NO_PATH.</exception>
    public static Circuit OfEdges(ResidualGraph graph, IEnumerable<string> names)
    {
        var chosen = names.Select(graph.ParseEdge).ToHashSet();
        return Of(graph, (s, r) => chosen.Contains((s, r)));
    }

    public bool Contains(int sender, int receiver) => edges[sender, receiver];

    /// <exception cref="InterpException">UNKNOWN_SENDER, UNKNOWN_RECEIVER.</exception>
    public bool Contains(Sender sender, Receiver receiver) => edges[Graph.IndexOf(sender), Graph.IndexOf(receiver)];

    /// <summary>Whether a sender has an edge that is in it.</summary>
    public bool HasEdgeFrom(int sender)
    {
        for (var receiver = 0; receiver < Graph.Receivers.Count; receiver++)
            if (edges[sender, receiver]) return true;
        return false;
    }

    /// <summary>Without one edge.</summary>
    public Circuit Without(int sender, int receiver)
    {
        var copy = (bool[,])edges.Clone();
        copy[sender, receiver] = false;
        return new Circuit(Graph, copy);
    }

    /// <summary>Without anything some nodes write.</summary>
    public Circuit WithoutNodes(IEnumerable<Sender> nodes)
    {
        var removed = nodes.Select(Graph.IndexOf).ToHashSet();
        return Of(Graph, (s, r) => edges[s, r] && !removed.Contains(s));
    }

    /// <summary>The edges that are not in it.</summary>
    public Circuit Complement() => Of(Graph, (s, r) => !edges[s, r]);

    /// <summary>
    /// Without edges that lead nowhere or come from nowhere: to a component that writes nothing on, or from one that reads nothing
    /// of the circuit (EAP-IG's prune). What it computes may change in the second case: the component's output is then ablated.
    /// </summary>
    public Circuit Pruned()
    {
        var current = (bool[,])edges.Clone();
        for (var changed = true; changed;)
        {
            changed = false;
            var writes = Enumerable.Range(0, Graph.Senders.Count).Select(s =>
                Graph.Receivers.Index().Any(r => current[s, r.Index])).ToArray();
            var reads = new bool[Graph.Senders.Count];
            reads[0] = true;
            for (var r = 0; r < Graph.Receivers.Count; r++)
                if (Graph.Senders.Index().Any(s => current[s.Index, r]))
                    foreach (var fed in Graph.Feeds(r)) reads[fed] = true;
            for (var r = 0; r < Graph.Receivers.Count; r++)
            {
                var used = Graph.Receivers[r].Kind == ReceiverKind.Logits || Graph.Feeds(r).Any(fed => writes[fed] && reads[fed]);
                for (var s = 0; s < Graph.Reaching(r); s++)
                {
                    if (!current[s, r] || (used && reads[s])) continue;
                    current[s, r] = false;
                    changed = true;
                }
            }
        }
        return new Circuit(Graph, current);
    }
}
