using Google.Protobuf;
using InteropInterp.Circuits;
using InteropInterp.Models;
using InteropInterp.Patching;
using InteropInterp.Protocol.V1;
using static InteropInterp.Protocol.Tests.Handlers.InProcess;
using EngineCircuit = InteropInterp.Circuits.Circuit;
using EnginePlan = InteropInterp.Plans.Plan;
using EngineRow = InteropInterp.Plans.Row;
using EngineTask = InteropInterp.Circuits.CircuitTask;
using LogitDiff = InteropInterp.Plans.Metrics.LogitDiff;

namespace InteropInterp.Protocol.Tests.Handlers;

public class CircuitHandlersTests
{
    private static readonly EngineTask EngineTask = new()
    {
        Prompts = new EnginePlan { Rows = EngineRow.From([[3, 1, 20, 7], [9, 9, 2, 14]]) },
        Ablation = new SweepFromRun(new EnginePlan { Rows = EngineRow.From([[3, 1, 5, 7], [9, 4, 2, 14]]) }),
        Metric = new LogitDiff([3, 8], [9, 1]),
    };

    private static V1.CircuitTask Task => new()
    {
        Prompts = new Plan { Rows = { Row(3, 1, 20, 7), Row(9, 9, 2, 14) } },
        Corrupt = new Plan { Rows = { Row(3, 1, 5, 7), Row(9, 4, 2, 14) } },
        Metric = new Metric { LogitDiff = new LogitDiffMetric { Correct = { 3, 8 }, Incorrect = { 9, 1 } } },
    };

    private static V1.Circuit Nodes(params string[] names) => new() { Nodes = new SenderSet { Senders = { names } } };

    [Fact]
    public void What_discovery_finds_is_the_engines()
    {
        using var client = new InProcess();
        var response = client.Call<FindCircuitResponse>(new FindCircuitRequest { Model = client.Model(), Task = Task, Threshold = 0.05 });
        using var model = ModelLoader.Random(TinyModel.Config);
        using var runner = new CircuitRunner(model, EngineTask);
        var direct = Acdc.Find(runner, 0.05);
        using var scope = TorchSharp.torch.NewDisposeScope();
        var mask = client.Get(response.Mask.Ref).data<bool>().ToArray();
        var receivers = direct.Circuit.Graph.Receivers.Count;
        Assert.Equal(direct.Circuit.EdgeCount, mask.Count(x => x));
        Assert.All(direct.Circuit.Edges, edge => Assert.True(mask[edge.Sender * receivers + edge.Receiver]));
        Assert.Equal(direct.Effects.Values.Cast<double>(), client.Get(response.Effects.Ref).data<double>().ToArray());
        Assert.Equal((direct.Distance, direct.Runs), (response.Distance, response.Runs));
    }

    [Fact]
    public void Circuits_of_edges_nodes_masks_and_files_are_judged_alike()
    {
        using var client = new InProcess();
        var name = client.Model();
        using var model = ModelLoader.Random(TinyModel.Config);
        using var runner = new CircuitRunner(model, EngineTask);
        var circuit = EngineCircuit.OfNodes(runner.Graph, [Sender.Head(0, 1), Sender.Mlp(1)]);
        var graph = client.Call<GetResidualGraphResponse>(new GetResidualGraphRequest { Model = name });
        var mask = new byte[graph.Senders.Count * graph.Receivers.Count];
        foreach (var (s, r) in circuit.Edges) mask[s * graph.Receivers.Count + r] = 1;
        var request = new EvaluateCircuitsRequest
        {
            Model = name,
            Task = Task,
            Circuits =
            {
                Nodes("a0.h1", "m1"),
                new V1.Circuit { Edges = new EdgeNames { Edges = { circuit.Edges.Select(e => circuit.Graph.NameOf(e.Sender, e.Receiver)) } } },
                new V1.Circuit { Json = CircuitJson.Write(circuit) },
                new V1.Circuit
                {
                    Mask = new V1.Tensor
                    {
                        Value = new TensorData
                        {
                            DataType = DataType.Bool, Shape = { graph.Senders.Count, graph.Receivers.Count }, Data = ByteString.CopyFrom(mask),
                        },
                    },
                },
            },
        };
        var response = client.Call<EvaluateCircuitsResponse>(request);
        var direct = CircuitEvaluation.Faithfulness(runner, circuit);
        Assert.All(response.Circuits, one =>
        {
            Assert.Equal((direct.Edges, direct.Nodes), (one.Edges, one.Nodes));
            Assert.Equal(direct.Value, one.Value, 1e-5);
            Assert.Equal(direct.Outside!.Value, one.Outside, 1e-5);
        });
        Assert.Equal((direct.Whole, direct.None), (response.Whole, response.None));
        request.InsideOnly = true;
        Assert.All(client.Call<EvaluateCircuitsResponse>(request).Circuits, one => Assert.False(one.HasOutside));
    }

    [Fact]
    public void Knockouts_and_nodes_are_measured()
    {
        using var client = new InProcess();
        var name = client.Model();
        using var model = ModelLoader.Random(TinyModel.Config);
        using var runner = new CircuitRunner(model, EngineTask);
        var circuit = EngineCircuit.OfNodes(runner.Graph, [Sender.Head(0, 1), Sender.Mlp(1)]);
        var knocked = client.Call<KnockOutNodesResponse>(new KnockOutNodesRequest
        {
            Model = name, Task = Task, Circuit = Nodes("a0.h1", "m1"), Knockouts = { new SenderSet { Senders = { "m1" } }, new SenderSet { Senders = { "a0.h1", "a2.h3" } } },
        });
        var direct = CircuitEvaluation.Completeness(runner, circuit, [[Sender.Mlp(1)], [Sender.Head(0, 1), Sender.Head(2, 3)]]);
        Assert.Equal(direct.Select(k => (k.Circuit, k.Model)), knocked.Knockouts.Select(k => (k.Circuit, k.Model)));
        var measured = client.Call<MeasureNodesResponse>(new MeasureNodesRequest { Model = name, Task = Task, Circuit = Nodes("a0.h1", "m1") });
        Assert.Equal(CircuitEvaluation.Minimality(runner, circuit).Select(n => (n.Node.Name, n.Change)), measured.Nodes.Select(n => (n.Node, n.Change)));
    }

    [Fact]
    public void The_graph_says_what_receivers_feed()
    {
        using var client = new InProcess();
        var graph = client.Call<GetResidualGraphResponse>(new GetResidualGraphRequest { Model = client.Model() });
        Assert.Equal(("input", "logits"), (graph.Senders[0], graph.Receivers[^1]));
        string Feeds(string receiver) => string.Join(' ', graph.Feeds[graph.Receivers.IndexOf(receiver)].Values.Select(s => graph.Senders[s]));
        Assert.Equal(("a1.h2", "m0", ""), (Feeds("a1.h2<k>"), Feeds("m0"), Feeds("logits")));
    }

    [Theory]
    [InlineData("task"), InlineData("task.ablation"), InlineData("task.metric"), InlineData("circuits[0].kind"), InlineData("circuits"), InlineData("task.prompts")]
    public void What_is_missing_is_named(string field)
    {
        using var client = new InProcess();
        var request = new EvaluateCircuitsRequest { Model = client.Model(), Task = Task, Circuits = { Nodes("m0") } };
        if (field == "task") request.Task = null;
        if (field == "task.ablation") request.Task!.ClearAblation();
        if (field == "task.metric") request.Task!.Metric = null;
        if (field == "task.prompts") request.Task!.Prompts = null;
        if (field == "circuits[0].kind") request.Circuits[0] = new V1.Circuit();
        if (field == "circuits") request.Circuits.Clear();
        var error = client.Error(request);
        Assert.Equal(("FIELD_MISSING", field), (error.Reason, error.Field));
    }

    [Fact]
    public void What_does_not_go_together_is_refused()
    {
        using var client = new InProcess();
        var request = new EvaluateCircuitsRequest { Model = client.Model(), Task = Task, Circuits = { Nodes("m0") }, Confirm = true, InsideOnly = true };
        Assert.Equal("CONFIRM_INSIDE_ONLY", client.Refused(request));
        request.InsideOnly = false;
        request.Task.Zero = new ZeroOp();
        Assert.Equal("CONFIRM_ABLATION", client.Refused(request));
        request.Task.Corrupt = request.Task.Prompts.Clone();
        Assert.Equal("TASK_NOT_SOLVED", client.Refused(request));
        request.Confirm = false;
        request.Circuits[0] = new V1.Circuit { Mask = Value(1, 0) };
        Assert.Equal("CIRCUIT_MASK", client.Refused(request));
        request.Circuits[0] = new V1.Circuit { Edges = new EdgeNames { Edges = { "m2->m0" } } };
        Assert.Equal("NO_PATH", client.Refused(request));
        Assert.Equal("UNKNOWN_SENDER", client.Refused(new KnockOutNodesRequest
        {
            Model = request.Model, Task = Task, Circuit = Nodes("m0"), Knockouts = { new SenderSet { Senders = { "a7.h0" } } },
        }));
        Assert.Equal("INVALID_OPTION", client.Refused(new FindCircuitRequest { Model = request.Model, Task = Task, Threshold = -1 }));
    }
}
