using System.Text.RegularExpressions;
using InteropInterp.Circuits;
using InteropInterp.Circuits.Paths;
using InteropInterp.Plans;
using InteropInterp.Plans.Interventions;
using InteropInterp.Reports;
using InteropInterp.Studies;
using InteropInterp.Studies.IndirectObjects;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Studies.IndirectObjects;

public class IndirectObjectCircuitStudyTests
{
    // Two sentences of random tokens with names 30 to 37 at 1, 3 and 5; the model's liking decides which of two names is the answer.
    private static IndirectObjectPrompts Prompts(HookedTransformer model)
    {
        int[][] sentences = [[5, 0, 9, 0, 17, 0, 8], [5, 0, 4, 0, 21, 0, 7]];
        Row Of(int sentence, int first, int second, int again)
        {
            int[] tokens = [.. sentences[sentence]];
            (tokens[1], tokens[3], tokens[5]) = (first, second, again);
            return new Row(tokens);
        }
        var task = new IndirectObjectTask([Of(0, 30, 31, 31), Of(0, 31, 30, 31), Of(1, 32, 33, 33), Of(1, 33, 32, 33)],
            [Of(0, 30, 31, 30), Of(0, 31, 30, 30), Of(1, 32, 33, 32), Of(1, 33, 32, 32)], [30, 30, 32, 32], [31, 31, 33, 33]);
        using (var run = model.Run(new Plan { Rows = task.Clean, Objective = new Objective { Metric = task.Metric } }))
        using (NewDisposeScope())
            if (run.Metric!.mean().item<float>() < 0) task = task with { Correct = task.Incorrect, Incorrect = task.Correct };
        return new IndirectObjectPrompts
        {
            Task = task,
            Unrelated = [Of(0, 34, 35, 36), Of(0, 35, 36, 37), Of(1, 36, 34, 37), Of(1, 37, 35, 34)],
            Sentence = [0, 0, 1, 1],
            References = [[Of(0, 34, 35, 36), Of(0, 30, 33, 37)], [Of(1, 36, 34, 37), Of(1, 31, 32, 34), Of(1, 33, 35, 30)]],
            NamesAt = (1, 3, 5),
        };
    }

    [Theory, InlineData("llama", 7), InlineData("parallel", 8)]
    public void What_it_finds_hangs_together(string kind, int seed)
    {
        using var model = HookedTransformer.FromConfig(TinyModels.Config(kind) with { Seed = seed });
        var told = new List<StudyProgress>();
        var c = IndirectObjectCircuitStudy.Run(model, Prompts(model), progress: told.Add);
        AssertHangsTogether(c, 2e-4);
        Assert.Equal(Without(model, c.Prompts, c.Found.Heads), c.Found.Performance.Outside!.Value, 2e-4);
        foreach (var work in told.GroupBy(p => p.What))
        {
            Assert.True(work.Last().Done == work.Last().Total, work.Key);
            Assert.True(work.Zip(work.Skip(1)).All(p => p.First.Done <= p.Second.Done), work.Key);
        }

        var html = IndirectObjectReport.Page(c, [.. c.Prompts.Task.Clean.Select(r => (IReadOnlyList<string>)[.. r.Tokens.Select(t => $" t{t}")])]).ToHtml();
        Assert.Contains("<svg class=\"interp-graph\"", html);
        var main = html[html.IndexOf("<main>", StringComparison.Ordinal)..html.IndexOf("</main>", StringComparison.Ordinal)];
        Assert.DoesNotContain("NaN", main);
        Assert.Equal(10, Regex.Count(main, "<section>") + 1);
        Assert.Equal(5, Regex.Count(html, "<figcaption>[a-z_ ]+: r = -?[0-9.]+, slope"));
    }

    // The mean of the metric with some heads' outputs set to their means over the sentences' references, all else running.
    private static double Without(HookedTransformer model, IndirectObjectPrompts prompts, IReadOnlyList<Sender> heads)
    {
        using var scope = NewDisposeScope();
        var interventions = heads.GroupBy(h => h.Point.Name).Select(layer =>
        {
            var index = tensor(layer.Select(h => (long)h.Index).ToArray());
            var means = prompts.References.Select(rows =>
            {
                using var run = model.Run(new Plan { Rows = rows, Captures = [new InteropInterp.Plans.Capture(layer.Key)] });
                return run[layer.Key].mean([0]).index_select(1, index);
            }).ToList();
            return new Intervention(layer.Key, new SetOp(stack([.. prompts.Sentence.Select(s => means[s])])))
            {
                Where = new Selector { Heads = Positions.At([.. layer.Select(h => h.Index)]) },
            };
        }).ToList();
        using var ablated = model.Run(prompts.Clean with { Interventions = interventions, Objective = new Objective { Metric = prompts.Task.Metric } });
        return ablated.Metric!.mean().item<float>();
    }

    /// <summary>What must be so of any model.</summary>
    internal static void AssertHangsTogether(IndirectObjectCircuit c, double tolerance)
    {
        var mean = c.Behaviour.Mean;
        Assert.Equal(mean, c.Direct.Sum, tolerance);
        // Empty and whole circuits are the ends of the scale.
        Assert.Equal(0, c.EdgeCurve[0].Recovered, tolerance);
        Assert.Equal(0, c.EdgeCurve[0].Edges);
        Assert.Equal(1, c.EdgeCurve[^1].Recovered, tolerance);
        Assert.Equal(c.Graph.EdgeCount, c.EdgeCurve[^1].Edges);
        Assert.Equal(1, c.NodeCurve[^1].Recovered, tolerance);
        Assert.Equal((0, c.Ranking.Count), (c.Heads(c.NodeCurve[0]), c.Heads(c.NodeCurve[^1])));
        // The circuit is the first of the curve that does, and is judged as the curve judges it.
        var at = c.NodeCurve.First(p => p.Recovered >= c.Options.Recovered);
        Assert.Equal(c.Heads(at), c.Found.Heads.Count);
        Assert.Equal(at.Recovered, c.Found.Performance.Recovered, tolerance);
        Assert.Equal(c.Ranking.Take(c.Found.Heads.Count), c.Found.Heads);
        Assert.Equal(c.Found.Heads.Order(ByName), c.Found.Minimality.Select(m => m.Node).Order(ByName));
        // What goes by itself into the logits and into nothing else is what is lost without it: heads of the last layer.
        var last = c.Graph.Config.LayerCount - 1;
        var unrelated = c.Sweeps.Single(s => s.Corruption == "unrelated");
        if (c.Graph.Config.ParallelBlocks)
            for (var h = 0; h < c.Graph.Config.HeadCount; h++)
                Assert.Equal(unrelated.Lost[last * c.Graph.Config.HeadCount + h] * (mean - c.Behaviour.Unrelated.Average()) / mean,
                    c.Paths[0].Lost[c.Graph.IndexOf(Sender.Head(last, h))], tolerance);
        Assert.All(c.Movers, m => Assert.DoesNotContain(m, c.Feeders));
        Assert.All(c.Attention.Answer.Concat(c.Attention.Again), a => Assert.InRange(a, 0, 1));
        Assert.All(c.Agreements, a => Assert.InRange(a.Correlation, -1.0001, 1.0001));
        Assert.Equal(["Behaviour", "The circuit", "Sufficient and necessary", "Negative components", "Self-repair", "Complete and minimal", "Estimates", "Scope"],
            IndirectObjectFindings.Of(c).Select(f => f.Title));
    }

    private static readonly IComparer<Sender> ByName = Comparer<Sender>.Create((a, b) => string.CompareOrdinal(a.Name, b.Name));

    [Fact]
    public void Where_there_is_no_behaviour_or_no_sense_in_the_options_it_says_so()
    {
        using var model = HookedTransformer.FromConfig(TinyModels.Config("llama") with { Seed = 7 });
        var prompts = Prompts(model);
        string Reason(IndirectObjectPrompts p, IndirectObjectCircuitOptions? o = null) =>
            Assert.Throws<InterpException>(() => IndirectObjectCircuitStudy.Run(model, p, o)).Reason;
        var turned = prompts.Task with { Correct = prompts.Task.Incorrect, Incorrect = prompts.Task.Correct };
        Assert.Equal("TASK_NOT_SOLVED", Reason(prompts with { Task = turned }));
        foreach (var wrong in new[] { new IndirectObjectCircuitOptions { Share = 0 }, new() { Recovered = 1.5 }, new() { MostFollowed = 0 } })
            Assert.Equal("INVALID_OPTION", Reason(prompts, wrong));
    }

    [Fact]
    public void Directions_that_are_one_experiment_are_told_apart_from_two()
    {
        using var model = HookedTransformer.FromConfig(TinyModels.Config("llama") with { Seed = 7 });
        var two = IndirectObjectCircuitStudy.Run(model, Prompts(model));
        // Both directions of prompts that are each other's swapped ones.
        var one = two with { Sweeps = [two.Sweeps[0] with { Lost = two.Sweeps[0].Restored }, two.Sweeps[1]] };
        string Directions(IndirectObjectCircuit c) => IndirectObjectFindings.Of(c).Single(f => f.Title == "Sufficient and necessary").Text;
        Assert.Contains("shows nothing about heads", Directions(one), StringComparison.Ordinal);
        Assert.DoesNotContain("shows nothing about heads", Directions(two), StringComparison.Ordinal);
    }

    [Fact]
    public void It_stops_when_asked()
    {
        using var model = HookedTransformer.FromConfig(TinyModels.Config("llama") with { Seed = 7 });
        using var stop = new CancellationTokenSource();
        var error = Assert.Throws<InterpException>(() => IndirectObjectCircuitStudy.Run(model, Prompts(model), progress: p =>
        {
            if (p.What == "minimality") stop.Cancel();
        }, cancellation: stop.Token));
        Assert.Equal(ErrorCode.Cancelled, error.Code);
    }

    // The whole study takes minutes on a model of this size: its parts that say what must be so.
    [Fact, Trait("Speed", "slow")]
    public void On_SmolLM2_what_is_written_sums_to_the_answer_and_circuits_end_where_they_must()
    {
        using var model = HookedTransformer.FromPretrained(SharedFolder.Path("models", "09_smollm2_135m"));
        var prompts = IndirectObjectPrompts.For(model.Tokenizer, 4);
        var measures = new TaskMeasures(model, prompts, CancellationToken.None);
        var (behaviour, direct) = (measures.Behaviour(), measures.Direct());
        Assert.True(behaviour.Mean > Math.Max(0, behaviour.Swapped.Average()), $"{behaviour.Mean:F2}");
        Assert.Equal(behaviour.Mean, direct.Sum, 2e-3);

        var paths = PathPatcher.Run(model.Model, new PathPatch
        {
            Base = prompts.Clean, Source = new Plan { Rows = prompts.Unrelated }, Metric = prompts.Task.Metric, Senders = PathPatch.EachHead(model.Config),
            Receivers = [[Receiver.Logits]], FreezeMlps = false, ReceiverPositions = Positions.At(-1),
        });
        Assert.Equal(behaviour.Mean, paths.Baseline, 2e-3);
        // Without what the first mover writes by itself the answer is less preferred, and it writes towards it.
        var mover = Enumerable.Range(0, direct.Heads.Count).MinBy(i => paths.Values[i, 0]);
        Assert.True(paths.Values[mover, 0] < paths.Baseline && direct.Heads[mover] > 0, $"head {mover}: {direct.Heads[mover]:F2}");

        var graph = new ResidualGraph(model.Config);
        using var means = new SentenceMeans(model, prompts, graph, CancellationToken.None);
        using var runner = new CircuitRunner(model.Model, new CircuitTask { Prompts = prompts.Clean, Ablation = means.Source, Metric = prompts.Task.Metric });
        var whole = CircuitEvaluation.Faithfulness(runner, Circuit.Full(graph));
        Assert.Equal(1, whole.Recovered, 1e-3);
        Assert.Equal(0, whole.RecoveredOutside!.Value, 1e-3);
        Assert.Equal(behaviour.Mean, whole.Whole, 2e-3);
    }
}
