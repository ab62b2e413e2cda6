using InteropInterp.Attribution;
using InteropInterp.Circuits;
using InteropInterp.Heads;
using InteropInterp.Patching;
using InteropInterp.Plans;
using InteropInterp.Plans.Metrics;

namespace InteropInterp.Studies;

/// <summary>
/// Who hands the repeated tokens on to whom: edges scored by EAP-IG between rows AA and rows BA, in which the second segment
/// repeats nothing, and what the strongest of them do alone. The metric is the log-probability of A's last token in second place.
/// </summary>
/// <param name="Edges">What the edge adds to the metric, in nats: above 0 where it helps. A first-order estimate.</param>
/// <param name="Considered">How many edges, the strongest, the circuit was made of.</param>
/// <param name="Circuit">Those of them that lead from the tokens to the logits.</param>
/// <param name="Performance">Of the circuit, all other edges carrying what they carry on BA.</param>
public sealed record InductionCircuit(EdgeScores Edges, int Considered, Circuit Circuit, CircuitPerformance Performance)
{
    /// <summary>The circuit's edges, strongest first.</summary>
    public IReadOnlyList<(int Sender, int Receiver, double Score)> Ranked => [.. Edges.Ranked().Where(e => Circuit.Contains(e.Sender, e.Receiver))];

    /// <exception cref="InterpException">ATTRIBUTION_TOO_LARGE: a row needs more than a batch may hold.</exception>
    internal static InductionCircuit Find(
        HookedTransformer model, RandomTokens random, InductionStudyOptions options, Action<StudyProgress>? progress, CancellationToken cancellation)
    {
        progress?.Invoke(new StudyProgress("circuit", 0, 2));
        var (a, b) = (random.Segments('A', options.PatchedRows), random.Segments('B', options.PatchedRows));
        var clean = new Plan { Rows = RepeatedTokens.Join(a, a, random.Bos) };
        var corrupt = new Plan { Rows = RepeatedTokens.Join(b, a, random.Bos) };
        var metric = new LogProb([.. a.Select(segment => segment[^1])]) { Position = -2 };
        var scores = EdgePatcher.Run(model.Model, new EdgePatch
        {
            Clean = clean, Corrupt = corrupt, Metric = metric, Method = EdgeMethod.IntegratedInputs,
        }, model.Options with { MemoryLimit = Math.Min(model.Options.MemoryLimit ?? long.MaxValue, model.Options.BatchBudget) }, cancellation).Negated();

        progress?.Invoke(new StudyProgress("circuit", 1, 2));
        var strongest = scores.Ranked().Where(e => double.IsFinite(e.Score) && e.Score != 0).Take(options.CircuitEdges)
            .Select(e => (e.Sender, e.Receiver)).ToHashSet();
        var circuit = Circuits.Circuit.Of(scores.Graph, (sender, receiver) => strongest.Contains((sender, receiver))).Pruned();
        using var runner = new CircuitRunner(model.Model,
            new CircuitTask { Prompts = clean, Ablation = new SweepFromRun(corrupt), Metric = metric }, model.Options, cancellation);
        var performance = CircuitEvaluation.Faithfulness(runner, circuit, cancellation);
        progress?.Invoke(new StudyProgress("circuit", 2, 2));
        return new InductionCircuit(scores, strongest.Count, circuit, performance);
    }
}
