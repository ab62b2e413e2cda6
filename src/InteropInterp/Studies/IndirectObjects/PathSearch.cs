using InteropInterp.Circuits;
using InteropInterp.Circuits.Paths;
using InteropInterp.Plans;

namespace InteropInterp.Studies.IndirectObjects;

/// <summary>
/// From the logits back (Wang et al. 2022, section 3): which heads write to them directly, which heads write into those, and which
/// into these again. MLPs between are recomputed, as in the paper.
/// </summary>
internal sealed class PathSearch
{
    private readonly HookedTransformer model;
    private readonly IndirectObjectPrompts prompts;
    private readonly ResidualGraph graph;
    private readonly double clean;
    private readonly IndirectObjectCircuitOptions options;
    private readonly Action<StudyProgress>? progress;
    private readonly CancellationToken cancellation;
    private readonly List<PathEffects> effects = [];

    /// <param name="clean">The logit difference of which effects are shares.</param>
    public PathSearch(
        HookedTransformer model, IndirectObjectPrompts prompts, ResidualGraph graph, double clean, IndirectObjectCircuitOptions options,
        Action<StudyProgress>? progress, CancellationToken cancellation)
    {
        (this.model, this.prompts, this.graph, this.clean, this.options) = (model, prompts, graph, clean, options);
        (this.progress, this.cancellation) = (progress, cancellation);
        var last = Positions.At(-1);
        Patch(last, ("the logits", [Receiver.Logits]));
        var direct = effects[0].Lost;
        Movers = Strongest(direct, least: 1);
        NegativeMovers = Strongest([.. direct.Select(x => -x)], least: 0);

        var into = Inputs("movers", Movers);
        Feeders = [.. Strongest(into, least: 0).Where(h => !Movers.Contains(h))];
        if (Feeders.Count > 0) Inputs("feeders", Feeders);
    }

    public IReadOnlyList<Sender> Movers { get; }

    public IReadOnlyList<Sender> NegativeMovers { get; }

    public IReadOnlyList<Sender> Feeders { get; }

    public IReadOnlyList<PathEffects> Effects => effects;

    // Paths into queries at the last position, and into keys and values wherever they are read; the sum of their effects.
    private double[] Inputs(string name, IReadOnlyList<Sender> heads)
    {
        var share = model.Config.HeadCount / model.Config.KeyHeads;
        var first = effects.Count;
        Patch(Positions.At(-1), ($"the {name}' queries", [.. heads.Select(h => Receiver.Query(h.Layer, h.Index))]));
        Patch(Positions.All,
            ($"the {name}' keys", [.. heads.Select(h => Receiver.Key(h.Layer, h.Index / share)).Distinct()]),
            ($"the {name}' values", [.. heads.Select(h => Receiver.Value(h.Layer, h.Index / share)).Distinct()]));
        return [.. Enumerable.Range(0, graph.Senders.Count).Select(s => effects.Skip(first).Sum(e => e.Lost[s]))];
    }

    private void Patch(Positions where, params (string Name, IReadOnlyList<Receiver> Receivers)[] sets)
    {
        var reach = sets.Max(s => s.Receivers.Max(r => graph.Reaching(graph.IndexOf(r))));
        // Nothing writes below the first layer but the embedding, which is the prompt itself.
        if (reach <= 1) return;
        var result = PathPatcher.Run(model.Model, new PathPatch
        {
            Base = prompts.Clean,
            Source = new Plan { Rows = prompts.Unrelated },
            Metric = prompts.Task.Metric,
            Senders = [.. graph.Senders.Take(reach).Skip(1).Select(s => (IReadOnlyList<Sender>)[s])],
            Receivers = [.. sets.Select(s => s.Receivers)],
            FreezeMlps = false,
            ReceiverPositions = where,
            Progress = (done, total) => progress?.Invoke(new StudyProgress($"paths into {string.Join(", ", sets.Select(s => s.Name))}", done, total)),
        }, model.Options, cancellation);
        for (var set = 0; set < sets.Length; set++)
        {
            var lost = new double[graph.Senders.Count];
            for (var s = 1; s < reach; s++) lost[s] = (result.Baseline - result.Values[s - 1, set]) / clean;
            effects.Add(new PathEffects(sets[set].Name, sets[set].Receivers, lost));
        }
    }

    // Heads above the share, strongest first; at least so many, whatever they have.
    private IReadOnlyList<Sender> Strongest(IReadOnlyList<double> values, int least)
    {
        var heads = graph.Senders.Zip(values).Where(x => x.First.Kind == SenderKind.Head).OrderByDescending(x => x.Second).Take(options.MostFollowed);
        return [.. heads.Where((x, i) => x.Second >= options.Share || i < least).Select(x => x.First)];
    }
}
