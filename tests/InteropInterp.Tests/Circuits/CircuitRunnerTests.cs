using InteropInterp.Circuits;
using InteropInterp.Circuits.Paths;
using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Patching;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using InteropInterp.Plans.Interventions;
using InteropInterp.Plans.Metrics;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Circuits;

public class CircuitRunnerTests
{
    private static readonly Plan Clean = new() { Rows = Row.From([[5, 9, 17, 3, 8, 30], [5, 9, 4, 21, 2, 7]]) };
    private static readonly Plan Corrupt = new() { Rows = Row.From([[5, 9, 12, 3, 25, 30], [5, 9, 4, 22, 33, 7]]) };
    private static readonly CircuitTask Task = new() { Prompts = Clean, Ablation = new SweepFromRun(Corrupt),
        Metric = new LogitDiff([3, 8], [9, 1]) };

    private static double Value(TransformerModel model, Plan plan)
    {
        using var run = PlanRunner.Run(model, plan with { Objective = new Objective { Metric = Task.Metric } });
        using var scope = NewDisposeScope();
        return run.Metric!.mean().item<double>();
    }

    [Theory, InlineData("gpt2"), InlineData("llama"), InlineData("parallel"), InlineData("attention")]
    public void All_edges_are_the_model_and_none_the_corrupted_run(string kind)
    {
        using var model = TinyModels.Make(kind);
        using var runner = new CircuitRunner(model, Task);
        Assert.Equal(Value(model, Clean), runner.Run(Circuit.Full(runner.Graph)), 1e-9);
        Assert.Equal(Value(model, Corrupt), runner.Run(Circuit.Empty(runner.Graph)), 1e-9);
    }

    [Theory, InlineData("gpt2"), InlineData("llama"), InlineData("parallel"), InlineData("attention")]
    public void An_edge_left_out_is_its_direct_path_patched(string kind)
    {
        using var model = TinyModels.Make(kind);
        using var runner = new CircuitRunner(model, Task, new ExecutionOptions { BatchBudget = 200_000 });
        var graph = runner.Graph;
        var paths = PathPatcher.Run(model, new PathPatch
        {
            Base = Clean, Source = Corrupt, Metric = Task.Metric, Senders = [.. graph.Senders.Select(s => (IReadOnlyList<Sender>)[s])],
            Receivers = [.. graph.Receivers.Select(r => (IReadOnlyList<Receiver>)[r])],
        });
        var edges = Circuit.Full(graph).Edges.ToList();
        var values = runner.Run([.. edges.Select(e => Circuit.Full(graph).Without(e.Sender, e.Receiver))]);
        for (var i = 0; i < edges.Count; i++) Assert.Equal(paths.Values[edges[i].Sender, edges[i].Receiver], values[i].Average(), 1e-9);
        Assert.Equal(graph.EdgeCount, edges.Count);
    }

    [Theory, InlineData("gpt2"), InlineData("llama"), InlineData("parallel"), InlineData("attention")]
    public void Nodes_left_out_are_their_outputs_patched(string kind)
    {
        using var model = TinyModels.Make(kind);
        foreach (var (ablation, op, sources) in new (SweepSource, InterventionOp, Plan?)[]
        {
            (Task.Ablation, new PatchFromOp("there"), Corrupt), (new SweepZero(), new ZeroOp(), null),
            (new SweepMean(Corrupt), new MeanOp("there"), Corrupt), (new SweepMean(Corrupt, true), new MeanOp("there", true), Corrupt),
        })
        {
            using var runner = new CircuitRunner(model, Task with { Ablation = ablation });
            var patched = Value(model, Clean with
            {
                Sources = sources is null ? new Dictionary<string, Plan>() : new Dictionary<string, Plan> { ["there"] = sources },
                Interventions = [.. new[] { (0, 1), (0, 2), (1, 3) }.Select(h =>
                    new Intervention($"blocks.{h.Item1}.attn.hook_z", op) { Where = new Selector { Heads = Positions.At(h.Item2) } })],
            });
            var circuit = Circuit.Full(runner.Graph).WithoutNodes([Sender.Head(0, 1), Sender.Head(1, 3), Sender.Head(0, 2)]);
            Assert.Equal(patched, runner.Run(circuit), 1e-9);
            Assert.True(Math.Abs(patched - runner.Baseline.Average()) > 1e-4);
        }
    }

    [Theory, InlineData("llama"), InlineData("attention")]
    public void Activations_that_are_given_stand_in_as_those_of_a_run_do(string kind)
    {
        using var model = TinyModels.Make(kind);
        using var corrupt = PlanRunner.Run(model, Corrupt with
        {
            Captures = [.. new[] { "blocks.0.hook_resid_pre", "*.hook_z", "*.hook_mlp_out" }.Where(p => model.Config.HasMlp || !p.Contains("mlp", StringComparison.Ordinal)).Select(p => new Capture(p))],
        });
        using var given = new CircuitRunner(model, Task with { Ablation = new SweepFromCache(corrupt.Captures) });
        using var run = new CircuitRunner(model, Task);
        foreach (var without in new[] { Sender.Head(0, 1), Sender.Head(1, 2), Sender.Input })
        {
            var circuit = Circuit.Full(run.Graph).WithoutNodes([without]);
            Assert.Equal(run.Run(circuit), given.Run(circuit), 1e-9);
        }
        Assert.Equal(Value(model, Corrupt), given.Run(Circuit.Empty(run.Graph)), 1e-9);
    }

    [Fact]
    public void What_an_earlier_edge_changes_a_later_one_carries_on()
    {
        using var model = TinyModels.Make("gpt2");
        using var runner = new CircuitRunner(model, Task);
        var (early, late) = (runner.Graph.ParseEdge("a0.h1->a1.h2<v>"), runner.Graph.ParseEdge("a1.h2->a2.h0<q>"));
        var circuit = Circuit.Full(runner.Graph).Without(early.Sender, early.Receiver).Without(late.Sender, late.Receiver);
        using var scope = NewDisposeScope();
        using var there = PlanRunner.Run(model, Corrupt with { Captures = [new Capture("*.hook_z")] });
        using var here = PlanRunner.Run(model, Clean with { Captures = [new Capture("blocks.0.attn.hook_z"),
            new Capture("blocks.1.hook_resid_pre")] });
        Tensor Output(Tensor z, int layer, int head) =>
            Native.Operators.Ops.MatMul(z.select(2, head), model.StateDict[$"blocks.{layer}.attn.W_O"][head]);
        var first = new Intervention("blocks.1.hook_v_input",
            new SetOp((here["blocks.1.hook_resid_pre"] - (Output(here["blocks.0.attn.hook_z"], 0, 1) - Output(there["blocks.0.attn.hook_z"],
            0, 1))).unsqueeze(2)))
        {
            Where = new Selector { Heads = Positions.At(2) },
        };
        var flags = new ModelFlags { UseSplitQkvInput = true };
        using var middle = PlanRunner.Run(model, Clean with { Flags = flags, Interventions = [first],
            Captures = [new Capture("blocks.1.attn.hook_z"), new Capture("blocks.2.hook_resid_pre")] });
        var second = new Intervention("blocks.2.hook_q_input",
            new SetOp((middle["blocks.2.hook_resid_pre"] - (Output(middle["blocks.1.attn.hook_z"], 1,
            2) - Output(there["blocks.1.attn.hook_z"], 1, 2))).unsqueeze(2)))
        {
            Where = new Selector { Heads = Positions.At(0) },
        };
        Assert.Equal(Value(model, Clean with { Flags = flags, Interventions = [first, second] }), runner.Run(circuit), 1e-9);
    }

    [Fact]
    public void Acdc_found_several_at_once_is_acdc_one_after_the_other()
    {
        using var model = TinyModels.Make("llama");
        using var clean = PlanRunner.Run(model, Clean with { Outputs = new Outputs { Logits = LogitsWanted.Last } });
        using var scope = NewDisposeScope();
        using var runner = new CircuitRunner(model, Task with { Metric = new KlDivergence(clean.Logits!.squeeze(1)) });
        const double Threshold = 0.01;
        var told = (0, 0);
        var found = Acdc.Find(runner, Threshold, (done, all) => told = (done, all));

        var graph = runner.Graph;
        var expected = Circuit.Full(graph);
        var distance = 0.0;
        for (var r = graph.Receivers.Count - 1; r >= 0; r--)
            for (var s = graph.Reaching(r) - 1; s >= 0; s--)
            {
                var candidate = expected.Without(s, r);
                var value = runner.Run(candidate);
                if (value - distance < Threshold) (expected, distance) = (candidate, value);
            }
        Assert.Equal(expected.Edges, found.Circuit.Edges);
        Assert.Equal(distance, found.Distance, 1e-9);
        Assert.Equal((graph.EdgeCount, graph.EdgeCount), told);
        Assert.InRange(found.Circuit.EdgeCount, 1, graph.EdgeCount - 1);
        Assert.Equal(found.Distance, runner.Run(found.Circuit), 1e-9);
    }

    [Fact]
    public void A_circuit_is_judged_by_what_it_recovers_what_is_left_outside_and_whether_its_nodes_are_idle()
    {
        using var model = TinyModels.Make("gpt2");
        using var runner = new CircuitRunner(model, Task);
        var graph = runner.Graph;
        var whole = CircuitEvaluation.Faithfulness(runner, Circuit.Full(graph));
        Assert.Equal(1, whole.Recovered, 1e-9);
        Assert.Equal(0, whole.RecoveredOutside!.Value, 1e-9);
        Assert.Equal(Value(model, Clean), whole.Whole, 1e-9);
        Assert.Equal(Value(model, Corrupt), whole.None, 1e-9);
        var nodes = CircuitEvaluation.TopNodes(graph, [Sender.Head(0, 1), Sender.Mlp(2), Sender.Mlp(0)], [0, 2, 3]);
        var curve = CircuitEvaluation.Curve(runner, nodes);
        Assert.Equal([1, 3, 4], curve.Select(p => p.Nodes));
        Assert.Equal(runner.Run(nodes[1]), curve[1].Value, 1e-9);
        var lost = CircuitEvaluation.Minimality(runner, nodes[1]).ToDictionary(x => x.Node, x => x.Change);
        Assert.Equal(Math.Abs(runner.Run(Circuit.OfNodes(graph, [Sender.Mlp(2)])) - curve[1].Value), lost[Sender.Head(0, 1)], 1e-9);
        var knockout = CircuitEvaluation.Completeness(runner, nodes[1], [[Sender.Mlp(2)]])[0];
        Assert.Equal(runner.Run(Circuit.Full(graph).WithoutNodes([Sender.Mlp(2)])), knockout.Model, 1e-9);
        Assert.Equal(Math.Abs(runner.Run(Circuit.OfNodes(graph, [Sender.Head(0, 1)])) - knockout.Model), knockout.Incompleteness, 1e-9);
    }

    [Fact]
    public void Circuits_are_read_back_from_their_json_and_edges_without_ends_are_pruned()
    {
        using var model = TinyModels.Make("llama");
        var graph = new ResidualGraph(model.Config);
        var values = new double[graph.Senders.Count, graph.Receivers.Count];
        foreach (var (edge, i) in Circuit.Full(graph).Edges.Select((e, i) => (e, i))) values[edge.Sender, edge.Receiver] = Math.Sin(i);
        var scores = new EdgeScores(graph, values);
        var circuit = Circuit.Top(scores, 40);
        Assert.Equal(40, circuit.EdgeCount);
        var (read, readScores) = CircuitJson.Read(CircuitJson.Write(circuit, scores), model.Config);
        Assert.Equal(circuit.Edges, read.Edges);
        Assert.Equal(values.Cast<double>(), readScores.Values.Cast<double>());
        using var other = TinyModels.Make("parallel");
        foreach (var (broken, config) in new[] { ("{", model.Config), ("""{"cfg": {}, "edges": {"input->logits": {}}}""", model.Config),
            (CircuitJson.Write(circuit), other.Config) })
            Assert.Equal("CIRCUIT_FILE", Assert.Throws<InterpException>(() => CircuitJson.Read(broken, config)).Reason);

        bool Holds(string edge) => edge is "input->a0.h0<v>" or "a0.h1->a1.h0<q>" or "a1.h0->logits" or "a2.h1->logits" or "input->m1" or "m1->a2.h2<q>";
        var pruned = Circuit.Of(graph, (s, r) => Holds(graph.NameOf(s, r))).Pruned();
        // Key head 0 serves heads 0 and 1; a2.h1 reads nothing of the circuit; m1 leads to a2.h2, which writes nothing on.
        Assert.Equal(["input->a0.h0<v>", "a0.h1->a1.h0<q>", "a1.h0->logits"], pruned.Edges.Select(e => graph.NameOf(e.Sender, e.Receiver)));
    }

    [Fact]
    public void What_cannot_be_run_is_refused_with_the_reason()
    {
        using var model = TinyModels.Make("attention");
        using var gpt2 = TinyModels.Make("gpt2");
        void Refused(string reason, CircuitTask wrong) =>
            Assert.Equal(reason, Assert.Throws<InterpException>(() => new CircuitRunner(model, wrong).Dispose()).Reason);

        Refused("CIRCUIT_ABLATION", Task with { Ablation = new SweepFromCache(new Dictionary<string, Tensor>()) });
        using (var other = PlanRunner.Run(model, new Plan { Rows = Row.From([[1, 2]]), Captures = [new Capture("*.hook_z"), new Capture("blocks.0.hook_resid_pre")] }))
            Refused("CIRCUIT_ABLATION", Task with { Ablation = new SweepFromCache(other.Captures) });
        Refused("STREAM_LACKS_POINT", Task with { Ablation = new SweepFromMeans(new Dictionary<string, Tensor>()) });
        Refused("PROMPTS_OF_DIFFERENT_LENGTH", Task with { Ablation = new SweepMean(new Plan { Rows = Row.From([[1, 2]]) }) });
        Refused("SOURCE_ROWS", Task with { Ablation = new SweepFromRun(new Plan { Rows = [.. Corrupt.Rows.Take(1)] }) });
        Refused("METRIC_ROWS", Task with { Metric = new LogProb([1, 2, 3]) });
        using var runner = new CircuitRunner(model, Task);
        Assert.Equal("CIRCUIT_OF_OTHER_MODEL", Assert.Throws<InterpException>(() =>
            runner.Run(Circuit.Full(new ResidualGraph(gpt2.Config)))).Reason);
        Assert.Equal("INVALID_OPTION", Assert.Throws<InterpException>(() => Acdc.Find(runner, double.NaN)).Reason);
        var scores = new EdgeScores(runner.Graph, new double[runner.Graph.Senders.Count, runner.Graph.Receivers.Count]);
        Assert.Equal("CIRCUIT_SIZE", Assert.Throws<InterpException>(() => Circuit.Top(scores, 10_000)).Reason);
    }
}
