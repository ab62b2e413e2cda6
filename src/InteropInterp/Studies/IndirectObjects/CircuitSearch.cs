using InteropInterp.Attribution;
using InteropInterp.Circuits;
using InteropInterp.Plans;
using InteropInterp.Randomness;

namespace InteropInterp.Studies.IndirectObjects;

/// <summary>
/// From rankings to a circuit: circuits of growing size with all else mean-ablated, the smallest that does the task, and whether it is
/// complete and minimal (Wang et al. 2022, section 4).
/// </summary>
internal sealed class CircuitSearch(
    HookedTransformer model, IndirectObjectPrompts prompts, ResidualGraph graph, IndirectObjectCircuitOptions options,
    Action<StudyProgress>? progress, CancellationToken cancellation)
{
    private const int RandomSets = 3;
    private static readonly int[] NodeSizes = [0, 1, 2, 3, 5, 8, 12, 18, 26, 38, 55, 80, 115, 165, 240, 340, 490, 700, 1000];
    private static readonly int[] EdgeSizes = [0, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000];

    /// <summary>Heads by their largest effect, either direction, any corruption.</summary>
    public IReadOnlyList<Sender> Rank(IReadOnlyList<HeadEffects> sweeps)
    {
        var heads = graph.Config.HeadCount;
        double Largest(int head) => sweeps.Max(s => Math.Max(Math.Abs(s.Restored[head]), Math.Abs(s.Lost[head])));
        return [.. Enumerable.Range(0, graph.Config.LayerCount * heads).OrderByDescending(Largest).Select(i => Sender.Head(i / heads, i % heads))];
    }

    public (IReadOnlyList<CircuitPerformance> Nodes, IReadOnlyList<CircuitPerformance> Edges, EdgeScores Scores, FoundCircuit Found) Find(
        IReadOnlyList<Sender> ranking, PathSearch paths)
    {
        progress?.Invoke(new StudyProgress("ranking edges", 0, 1));
        var scores = EdgePatcher.Run(model.Model, new EdgePatch
        {
            Clean = prompts.Clean, Corrupt = new Plan { Rows = prompts.Unrelated }, Metric = prompts.Task.Metric,
            Method = EdgeMethod.IntegratedInputs, Steps = options.EdgeSteps,
        }, model.Options, cancellation);
        progress?.Invoke(new StudyProgress("ranking edges", 1, 1));

        using var means = new SentenceMeans(model, prompts, graph, cancellation);
        using var runner = new CircuitRunner(model.Model,
            new CircuitTask { Prompts = prompts.Clean, Ablation = means.Source, Metric = prompts.Task.Metric }, model.Options, cancellation);
        int[] nodeSizes = [.. NodeSizes.Where(n => n < ranking.Count), ranking.Count];
        int[] edgeSizes = [.. EdgeSizes.Where(n => n < graph.EdgeCount), graph.EdgeCount];
        var nodes = Curve(runner, "circuits of heads", [.. nodeSizes.Select(n => OfHeads(ranking.Take(n)))]);
        var edges = Curve(runner, "circuits of edges", [.. edgeSizes.Select(n => Circuit.Top(scores, n))]);
        var size = nodeSizes[nodes.Index().First(p => p.Item.Recovered >= options.Recovered || p.Index == nodes.Count - 1).Index];
        return (nodes, edges, scores, Judge(runner, [.. ranking.Take(size)], paths));
    }

    private FoundCircuit Judge(CircuitRunner runner, IReadOnlyList<Sender> heads, PathSearch paths)
    {
        var circuit = OfHeads(heads);
        // The embedding and the MLPs stay: without them nothing of a prompt reaches what is left, and nothing could be left of its answer.
        var performance = CircuitEvaluation.Curve(runner, [circuit], cancellation)[0] with
        {
            Outside = runner.Run(Circuit.Full(graph).WithoutNodes(heads), cancellation),
        };
        var scale = performance.Whole - performance.None;

        List<(Sender Node, double Change)> changes = [];
        foreach (var head in heads)
        {
            progress?.Invoke(new StudyProgress("minimality", changes.Count, heads.Count));
            changes.Add((head, Math.Abs(runner.Run(circuit.WithoutNodes([head]), cancellation) - performance.Value) / scale));
        }
        progress?.Invoke(new StudyProgress("minimality", heads.Count, heads.Count));

        List<(string Name, IReadOnlyList<Sender> Nodes)> sets =
        [
            ("the movers", paths.Movers), ("the negative movers", paths.NegativeMovers), ("the feeders", paths.Feeders),
            .. Enumerable.Range(0, RandomSets).Select(i => ($"half of the circuit, draw {i + 1}", Half(heads, i))),
        ];
        sets = [.. sets.Where(s => s.Nodes.Count > 0)];
        List<(string, Knockout)> knockouts = [];
        foreach (var (name, nodes) in sets)
        {
            progress?.Invoke(new StudyProgress("completeness", knockouts.Count, sets.Count));
            knockouts.Add((name, CircuitEvaluation.Completeness(runner, circuit, [nodes], cancellation)[0]));
        }
        progress?.Invoke(new StudyProgress("completeness", sets.Count, sets.Count));
        return new FoundCircuit(heads, circuit, performance, [.. changes.OrderByDescending(c => c.Change)], knockouts);
    }

    private List<CircuitPerformance> Curve(CircuitRunner runner, string what, IReadOnlyList<Circuit> circuits)
    {
        var none = runner.Run(Circuit.Empty(graph), cancellation);
        var points = new List<CircuitPerformance>();
        foreach (var circuit in circuits)
        {
            progress?.Invoke(new StudyProgress(what, points.Count, circuits.Count));
            points.Add(new CircuitPerformance(
                circuit.EdgeCount, circuit.Nodes.Count, runner.Run(circuit, cancellation), null, runner.Baseline.Average(), none));
        }
        progress?.Invoke(new StudyProgress(what, circuits.Count, circuits.Count));
        return points;
    }

    // All MLPs are in it, as in the paper: heads move information between positions.
    private Circuit OfHeads(IEnumerable<Sender> heads) =>
        Circuit.OfNodes(graph, heads.Concat(graph.Senders.Where(s => s.Kind == SenderKind.Mlp)));

    private List<Sender> Half(IReadOnlyList<Sender> heads, int draw) =>
        [.. heads.Where((_, i) => CounterRandom.Uniform(options.Seed, draw, i) < 0.5)];
}
