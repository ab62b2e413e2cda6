namespace InteropInterp.Circuits;

/// <summary>A number per edge of a graph.</summary>
/// <param name="Values">[senders, receivers]; 0 where there is no edge.</param>
public sealed record EdgeScores(ResidualGraph Graph, double[,] Values)
{
    public double this[Sender sender, Receiver receiver] => Values[Graph.IndexOf(sender), Graph.IndexOf(receiver)];

    /// <summary>All edges, highest score first; of equal ones those that come first in the graph.</summary>
    /// <param name="absolute">By absolute value: edges that work against the behaviour belong to a circuit too.</param>
    public IEnumerable<(int Sender, int Receiver, double Score)> Ranked(bool absolute = true) =>
        Edges().OrderByDescending(e => absolute ? Math.Abs(e.Score) : e.Score);

    /// <summary>With the other sign: what patching an edge away takes is what the edge gives.</summary>
    public EdgeScores Negated()
    {
        var values = (double[,])Values.Clone();
        foreach (var (sender, receiver, score) in Edges()) values[sender, receiver] = 0 - score;
        return this with { Values = values };
    }

    private IEnumerable<(int Sender, int Receiver, double Score)> Edges()
    {
        for (var receiver = 0; receiver < Graph.Receivers.Count; receiver++)
            for (var sender = 0; sender < Graph.Reaching(receiver); sender++) yield return (sender, receiver, Values[sender, receiver]);
    }
}
