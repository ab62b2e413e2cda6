using InteropInterp.Circuits;
using InteropInterp.Patching;
using InteropInterp.Patching.Corruptions;
using InteropInterp.Plans;

namespace InteropInterp.Studies.IndirectObjects;

/// <summary>
/// Finds the circuit of indirect objects in a model, by the steps of Wang et al. 2022 ("Interpretability in the Wild") with the
/// practice of Heimersheim and Nanda 2024: behaviour, direct logit attribution, every head patched alone in both directions, paths into
/// the logits, the movers and what feeds them, then the circuit itself with all else mean-ablated.
/// </summary>
public static class IndirectObjectCircuitStudy
{
    /// <exception cref="InterpException">TASK_NOT_SOLVED where the answer is not preferred to the other name more than with corrupted
    /// prompts; INVALID_OPTION; CANCELLED between two passes.</exception>
    public static IndirectObjectCircuit Run(
        HookedTransformer model, IndirectObjectPrompts prompts, IndirectObjectCircuitOptions? options = null,
        Action<StudyProgress>? progress = null, CancellationToken cancellation = default)
    {
        options ??= new IndirectObjectCircuitOptions();
        options.Check();
        var measures = new TaskMeasures(model, prompts, cancellation);
        var behaviour = measures.Behaviour();
        double clean = behaviour.Mean, wrong = Math.Max(behaviour.Swapped.Average(), behaviour.Unrelated.Average());
        if (!(clean > 0 && clean > wrong))
            throw InterpException.Precondition("TASK_NOT_SOLVED",
                $"The prompts have a mean logit difference of {clean:F3}, corrupted ones {wrong:F3}: there is no behaviour to explain.");
        var (direct, attention) = (measures.Direct(), measures.Attention());

        var sweep = model.Sweep(new Sweep
        {
            Base = prompts.Clean,
            Source = new SweepCorruptions(
            [
                new CorruptRun("swapped", new Plan { Rows = prompts.Task.Corrupt }), new CorruptRun("unrelated", new Plan { Rows = prompts.Unrelated }),
            ]),
            Grid = SweepGrid.Of("attn_head_out_all_pos"),
            Metric = prompts.Task.Metric,
            Progress = (done, total) => progress?.Invoke(new StudyProgress("patching each head", done, total)),
        }, cancellation);
        var parts = sweep.Metrics[0].Normalized.Chunk(model.Config.LayerCount * model.Config.HeadCount).ToList();
        IReadOnlyList<HeadEffects> sweeps =
            [.. sweep.Corruptions.Select((name, i) => new HeadEffects(name, parts[i], [.. parts[sweep.Corruptions.Count + i].Select(v => 1 - v)]))];

        var graph = new ResidualGraph(model.Config);
        var paths = new PathSearch(model, prompts, graph, clean, options, progress, cancellation);
        var swapped = behaviour.Swapped.Average();
        var agreements = measures.Agreements([.. sweeps[0].Restored.Select(r => r * (clean - swapped))], progress);
        var search = new CircuitSearch(model, prompts, graph, options, progress, cancellation);
        var ranking = search.Rank(sweeps);
        var (nodeCurve, edgeCurve, edges, found) = search.Find(ranking, paths);
        return new IndirectObjectCircuit
        {
            Model = model.Config.ModelName,
            Graph = graph,
            Prompts = prompts,
            Options = options,
            Behaviour = behaviour,
            Direct = direct,
            Sweeps = sweeps,
            Attention = attention,
            Movers = paths.Movers,
            NegativeMovers = paths.NegativeMovers,
            Feeders = paths.Feeders,
            Paths = paths.Effects,
            Repair = measures.Repair(paths.Movers, direct, clean),
            Agreements = agreements,
            Ranking = ranking,
            NodeCurve = nodeCurve,
            EdgeCurve = edgeCurve,
            Edges = edges,
            Found = found,
        };
    }
}
