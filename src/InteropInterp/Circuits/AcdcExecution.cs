using InteropInterp.Native.Devices;

namespace InteropInterp.Circuits;

/// <summary>Automatic circuit discovery under way. A step is the passes of one batch of guesses.</summary>
public sealed class AcdcExecution : IStepwise<AcdcResult>, IHasProgress
{
    private const int MostAtOnce = 32;

    private readonly CircuitRunner runner;
    private readonly ResidualGraph graph;
    private readonly double threshold, full;
    private readonly CancellationToken cancellation;
    private readonly double[,] effects;
    private readonly IEnumerator<bool> steps;
    private Circuit circuit;
    private double distance;
    private int runs, done;

    internal AcdcExecution(CircuitRunner runner, double threshold, CancellationToken cancellation)
    {
        Acdc.CheckThreshold(threshold);
        (this.runner, this.threshold, this.cancellation, graph) = (runner, threshold, cancellation, runner.Graph);
        full = runner.Baseline.Average();
        circuit = Circuit.Full(graph);
        effects = new double[graph.Senders.Count, graph.Receivers.Count];
        steps = Steps().GetEnumerator();
    }

    /// <summary>Edges decided, and edges in all.</summary>
    public (int Done, int Total) Progress => (done, graph.EdgeCount);

    /// <inheritdoc/>
    public bool Advance() => steps.MoveNext();

    /// <inheritdoc/>
    public AcdcResult TakeResult() => done == graph.EdgeCount
        ? new AcdcResult(circuit, new EdgeScores(graph, effects), distance, runs)
        : throw new InvalidOperationException("The search has steps left.");

    private IEnumerable<bool> Steps()
    {
        var guess = 4;
        for (var receiver = graph.Receivers.Count - 1; receiver >= 0; receiver--)
        {
            var sender = graph.Reaching(receiver) - 1;
            // What nobody reads any more is free.
            if (graph.Receivers[receiver].Kind != ReceiverKind.Logits && !graph.Feeds(receiver).Any(circuit.HasEdgeFrom))
            {
                done += sender + 1;
                for (; sender >= 0; sender--) circuit = circuit.Without(sender, receiver);
            }
            while (sender >= 0)
            {
                var (tried, accepted) = Try(receiver, ref sender, guess);
                guess = accepted == tried ? Math.Min(2 * guess, MostAtOnce) : Math.Max(1, accepted);
                yield return true;
            }
        }
    }

    // Leaves out edges from a sender down, on the guess that all of them go; stops at the first that stays.
    private (int Tried, int Accepted) Try(int receiver, ref int sender, int guess)
    {
        var candidates = new List<Circuit>();
        for (var s = sender; s >= 0 && candidates.Count < guess; s--)
            candidates.Add((candidates.Count > 0 ? candidates[^1] : circuit).Without(s, receiver));
        var values = runner.Run(candidates, cancellation);
        runs += candidates.Count;
        var accepted = 0;
        foreach (var value in values)
        {
            var effect = effects[sender, receiver] = Math.Abs(value.Average() - full) - distance;
            sender--;
            if (!(effect < threshold)) break;
            (circuit, distance) = (candidates[accepted], distance + effect);
            accepted++;
        }
        done += Math.Min(accepted + 1, candidates.Count);
        return (candidates.Count, accepted);
    }

    public void Dispose() => steps.Dispose();
}
