namespace InteropInterp.Circuits;

/// <summary>
/// Automatic circuit discovery (Conmy et al. 2023): from the logits back, each edge is left out for good where that worsens the
/// metric by less than a threshold.
/// </summary>
/// <remarks>
/// Edges are tried several at once, on the guess that those before them in the batch go too; what a wrong guess has spoiled is
/// tried again, so the result is that of one after the other.
/// </remarks>
public static class Acdc
{
    private const int MostAtOnce = 32;

    /// <summary>Finds a circuit.</summary>
    /// <param name="runner">Where edges are ablated. With KL divergence from the prompts' own logits as its metric it is the
    /// paper's.</param>
    /// <param name="threshold">τ: how much the distance of the metric from the whole model's may grow by leaving an edge out.</param>
    /// <param name="progress">Told (edges decided, edges in all).</param>
    /// <exception cref="InterpException">INVALID_OPTION; CANCELLED between passes.</exception>
    public static AcdcResult Find(CircuitRunner runner, double threshold, Action<int, int>? progress = null,
        CancellationToken cancellation = default)
    {
        InterpException.Require(threshold >= 0 && double.IsFinite(threshold), "INVALID_OPTION",
            $"The threshold is {threshold}; it must be a number not below 0.");
        var graph = runner.Graph;
        var full = runner.Baseline.Average();
        double Distance(double[] perRow) => Math.Abs(perRow.Average() - full);

        var circuit = Circuit.Full(graph);
        var effects = new double[graph.Senders.Count, graph.Receivers.Count];
        var (distance, runs, done, guess) = (0.0, 0, 0, 4);
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
                var candidates = new List<Circuit>();
                for (var s = sender; s >= 0 && candidates.Count < guess; s--) candidates.Add((candidates.Count > 0 ? candidates[^1]
                    : circuit).Without(s, receiver));
                var values = runner.Run(candidates, cancellation);
                runs += candidates.Count;
                var accepted = 0;
                foreach (var value in values)
                {
                    var effect = effects[sender, receiver] = Distance(value) - distance;
                    sender--;
                    if (effect >= threshold) break;
                    (circuit, distance) = (candidates[accepted], distance + effect);
                    accepted++;
                }
                done += Math.Min(accepted + 1, candidates.Count);
                guess = accepted == candidates.Count ? Math.Min(2 * guess, MostAtOnce) : Math.Max(1, accepted);
                progress?.Invoke(done, graph.EdgeCount);
            }
        }
        return new AcdcResult(circuit, new EdgeScores(graph, effects), distance, runs);
    }
}

/// <summary>What automatic circuit discovery found.</summary>
/// <param name="Circuit">The edges that are left.</param>
/// <param name="Effects">By how much the distance grew as each edge was left out, when it was tried; 0 for edges that nobody read any
/// more.</param>
/// <param name="Distance">Of the circuit's metric from the whole model's.</param>
/// <param name="Runs">Variants of the model that were run.</param>
public sealed record AcdcResult(Circuit Circuit, EdgeScores Effects, double Distance, int Runs);
