using InteropInterp.Attribution;
using InteropInterp.Caches;
using InteropInterp.Circuits;
using InteropInterp.Circuits.Paths;
using InteropInterp.Hooks;
using InteropInterp.Patching;
using InteropInterp.Plans;
using InteropInterp.Plans.Interventions;
using InteropInterp.Plans.Metrics;
using static TorchSharp.torch;

namespace InteropInterp.Studies.IndirectObjects;

/// <summary>What single runs on the prompts tell.</summary>
internal sealed class TaskMeasures(HookedTransformer model, IndirectObjectPrompts prompts, CancellationToken cancellation)
{
    private const int MostBackups = 6;

    private static readonly (HookSite Site, string Name, string Grid)[] Sites =
    [
        (HookSite.Z, "z", "attn_head_out_all_pos"), (HookSite.V, "v", "attn_head_v_all_pos"),
        (HookSite.Pattern, "pattern", "attn_head_pattern_all_pos"), (HookSite.Q, "q", "attn_head_q_all_pos"),
        (HookSite.K, "k", "attn_head_k_all_pos"),
    ];

    private int Layers => model.Config.LayerCount;

    private int Heads => model.Config.HeadCount;

    private IndirectObjectTask Task => prompts.Task;

    public TaskBehaviour Behaviour() => new(
        PerRow(prompts.Clean, Task.Metric), PerRow(new Plan { Rows = Task.Corrupt }, Task.Metric),
        PerRow(new Plan { Rows = prompts.Unrelated }, Task.Metric), PerRow(prompts.Clean, new Prob(Task.Correct)).Average(),
        PerRow(prompts.Clean, new Accuracy(Task.Correct)).Average());

    /// <summary>What each component writes towards the answer.</summary>
    public DirectEffects Direct() => Direct(prompts.Clean);

    /// <summary>The mean attention of every head from the last position.</summary>
    public HeadAttention Attention()
    {
        var last = new Selector { Positions = Positions.At(-1) };
        using var run = model.Run(prompts.Clean with { Captures = [new Capture("blocks.*.attn.hook_pattern") { Where = last }] }, cancellation);
        using var scope = NewDisposeScope();
        // [layer, row, head, key]
        var patterns = stack([.. Enumerable.Range(0, Layers).Select(l => run[new HookPoint(HookSite.Pattern, l).Name].squeeze(2))]).to(ScalarType.Float64);
        double[] To(IEnumerable<int> positions)
        {
            var at = tensor(positions.Select(p => (long)p).ToArray(), device: patterns.device).view(1, -1, 1, 1).expand(Layers, -1, Heads, 1);
            return patterns.gather(-1, at).squeeze(-1).mean([1]).flatten().cpu().data<double>().ToArray();
        }
        return new HeadAttention(
            To(prompts.Places.Select(p => p.Answer)), To(prompts.Places.Select(p => p.Other)), To(prompts.Places.Select(_ => prompts.NamesAt.Again)));
    }

    /// <summary>Attribution patching beside patching, clean values in the run with the answer swapped, over heads.</summary>
    /// <param name="outputs">What patching heads' outputs does to the metric, which is known already.</param>
    public IReadOnlyList<Agreement> Agreements(IReadOnlyList<double> outputs, Action<StudyProgress>? progress)
    {
        var swapped = new Plan { Rows = Task.Corrupt };
        using var estimates = NodePatcher.Run(model.Model, new NodePatch
        {
            Clean = prompts.Clean, Corrupt = swapped, Metric = Task.Metric, Sites = [.. Sites.Select(s => s.Site)],
        }, model.Options, cancellation);
        var result = new List<Agreement>();
        foreach (var (site, name, grid) in Sites)
        {
            progress?.Invoke(new StudyProgress("beside estimates", result.Count, Sites.Length));
            var effects = site == HookSite.Z ? outputs : Effects(swapped, grid);
            using var scope = NewDisposeScope();
            var nodes = estimates.Denoising![site];
            var whole = (site == HookSite.Pattern ? nodes.sum([2, 3]) : nodes.sum([1])).to(ScalarType.Float64).flatten().cpu().data<double>().ToArray();
            result.Add(Compare(name, whole, effects));
        }
        progress?.Invoke(new StudyProgress("beside estimates", Sites.Length, Sites.Length));
        return result;
    }

    /// <summary>What is lost with some heads' outputs at the last position taken away, and who steps in.</summary>
    public SelfRepair Repair(IReadOnlyList<Sender> heads, DirectEffects direct, double clean)
    {
        var last = Positions.At(-1);
        var unrelated = new Plan { Rows = prompts.Unrelated };
        var alone = PathPatcher.Run(model.Model, new PathPatch
        {
            Base = prompts.Clean, Source = unrelated, Metric = Task.Metric, Senders = [heads], Receivers = [[Receiver.Logits]],
            SenderPositions = last, ReceiverPositions = last,
        }, model.Options, cancellation);
        var without = prompts.Clean with
        {
            Sources = new Dictionary<string, Plan> { ["unrelated"] = unrelated },
            Interventions =
            [
                .. heads.GroupBy(h => h.Layer).Select(layer => new Intervention(new HookPoint(HookSite.Z, layer.Key).Name, new PatchFromOp("unrelated"))
                {
                    Where = new Selector { Heads = Positions.At([.. layer.Select(h => h.Index)]), Positions = last },
                }),
            ],
        };
        var lost = clean - PerRow(without, Task.Metric).Average();
        var after = Direct(without);
        var backups = Enumerable.Range(0, Layers * Heads).Select(i => (Head: Sender.Head(i / Heads, i % Heads), Gain: (after.Heads[i] - direct.Heads[i]) / clean))
            .Where(x => !heads.Contains(x.Head)).OrderByDescending(x => x.Gain).Take(MostBackups);
        return new SelfRepair((clean - alone.Values[0, 0]) / clean, lost / clean, [.. backups]);
    }

    private DirectEffects Direct(Plan plan)
    {
        using var parts = model.AttributeLogits(plan,
            new DirectLogitAttributionOptions(Task.Correct) { Incorrect = Task.Incorrect, Unit = AttributionUnit.Head }, cancellation);
        using var scope = NewDisposeScope();
        var means = parts.Values.to(ScalarType.Float64).mean([1, 2]).cpu().data<double>().ToArray();
        var byName = parts.Labels.Zip(means).ToDictionary(x => x.First, x => x.Second);
        double Take(string name) => byName.Remove(name, out var value) ? value : 0;
        return new DirectEffects(
            [.. Enumerable.Range(0, Layers * Heads).Select(i => Take($"L{i / Heads}H{i % Heads}"))],
            [.. Enumerable.Range(0, Layers).Select(l => Take($"{l}_mlp_out"))],
            [.. byName.Select(x => (x.Key, x.Value))]);
    }

    private double[] PerRow(Plan plan, Metric metric)
    {
        using var run = model.Run(plan with { Objective = new Objective { Metric = metric } }, cancellation);
        using var scope = NewDisposeScope();
        return run.Metric!.to(ScalarType.Float64).cpu().data<double>().ToArray();
    }

    private double[] Effects(Plan into, string grid)
    {
        var sweep = model.Sweep(new Sweep { Base = into, Source = new SweepFromRun(prompts.Clean), Grid = SweepGrid.Of(grid), Metric = Task.Metric }, cancellation);
        return [.. sweep.Values.Select(v => v - sweep.Baseline)];
    }

    private static Agreement Compare(string name, double[] estimates, IReadOnlyList<double> effects)
    {
        double meanX = estimates.Average(), meanY = effects.Average();
        double Sum(Func<int, double> term) => Enumerable.Range(0, estimates.Length).Sum(term);
        var together = Sum(i => (estimates[i] - meanX) * (effects[i] - meanY));
        var apart = Math.Sqrt(Sum(i => (estimates[i] - meanX) * (estimates[i] - meanX)) * Sum(i => (effects[i] - meanY) * (effects[i] - meanY)));
        return new Agreement(
            name, together / apart, Sum(i => estimates[i] * effects[i]) / Sum(i => effects[i] * effects[i]),
            Enumerable.Range(0, estimates.Length).Max(i => Math.Abs(estimates[i] - effects[i])), estimates, effects);
    }
}
