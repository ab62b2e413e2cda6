using InteropInterp.Attribution;
using InteropInterp.Circuits;
using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using InteropInterp.Plans.Interventions;
using InteropInterp.Plans.Metrics;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Attribution;

public class EdgePatcherTests
{
    private static readonly Plan Clean = new() { Rows = Row.From([[5, 9, 17, 3, 8, 30], [11, 4, 4, 21, 2, 7]]) };
    private static readonly Plan Corrupt = new() { Rows = Row.From([[5, 9, 12, 3, 25, 30], [11, 6, 4, 21, 33, 7]]) };
    private static readonly EdgePatch Patch = new() { Clean = Clean, Corrupt = Corrupt, Metric = new LogitDiff([3, 8], [9, 1]) };

    [Theory, InlineData("gpt2"), InlineData("llama"), InlineData("parallel"), InlineData("attention")]
    public void Every_edges_score_is_its_senders_difference_times_the_gradient_its_receiver_reads(string kind)
    {
        using var model = TinyModels.Make(kind);
        var scores = EdgePatcher.Run(model, Patch, new ExecutionOptions { BatchBudget = 1 });
        var graph = scores.Graph;
        var flags = new ModelFlags { UseSplitQkvInput = true, UseAttnResult = true, UseHookMlpIn = kind != "attention" };
        using var here = PlanRunner.Run(model, Clean with
        {
            Flags = flags, Objective = new Objective { Metric = Patch.Metric },
            Captures = [.. Written(kind).Select(n => new Capture(n)), .. Read(model, kind).Select(n => new Capture(n) { Gradient = true })],
        });
        using var there = PlanRunner.Run(model, Corrupt with { Flags = flags, Captures = [.. Written(kind).Select(n => new Capture(n))] });
        using var scope = NewDisposeScope();
        for (var s = 0; s < graph.Senders.Count; s++)
            for (var r = 0; r < graph.Receivers.Count; r++)
            {
                var expected = 0.0;
                if (graph.Senders[s].Reaches(graph.Receivers[r], model.Config))
                    expected = (Output(there, graph.Senders[s]) - Output(here, graph.Senders[s])).mul(Gradient(here, model,
                        graph.Receivers[r])).sum().item<double>();
                Assert.Equal(expected, scores.Values[s, r], 1e-12);
            }
        Assert.True(scores.Ranked().First().Score != 0);
        Assert.Equal(graph.EdgeCount, scores.Ranked().Count());
    }

    private static string[] Written(string kind) =>
        kind == "attention" ? ["blocks.0.hook_resid_pre", "*.hook_result"] : ["blocks.0.hook_resid_pre", "*.hook_result", "*.hook_mlp_out"];

    private static string[] Read(TransformerModel model, string kind)
    {
        string[] attention = ["*.hook_q_input", "*.hook_k_input", "*.hook_v_input",
            $"blocks.{model.Config.LayerCount - 1}.hook_resid_post"];
        return kind == "attention" ? attention : [.. attention, "*.hook_mlp_in"];
    }

    private static Tensor Output(RunResult run, Sender sender) => sender.Kind switch
    {
        SenderKind.Head => run[$"blocks.{sender.Layer}.attn.hook_result"].select(2, sender.Index),
        SenderKind.Mlp => run[$"blocks.{sender.Layer}.hook_mlp_out"],
        _ => run["blocks.0.hook_resid_pre"],
    };

    private static Tensor Gradient(RunResult run, TransformerModel model, Receiver receiver) => receiver.Kind switch
    {
        ReceiverKind.Logits => run[$"blocks.{model.Config.LayerCount - 1}.hook_resid_post_grad"],
        ReceiverKind.Mlp => run[$"blocks.{receiver.Layer}.hook_mlp_in_grad"],
        var kind => run[$"blocks.{receiver.Layer}.hook_{kind.ToString().ToLowerInvariant()[0]}_input_grad"].select(2, receiver.Index),
    };

    [Theory, InlineData("gpt2"), InlineData("llama")]
    public void Edges_out_of_a_head_add_up_to_the_heads_own_attribution(string kind)
    {
        using var model = TinyModels.Make(kind);
        var edges = EdgePatcher.Run(model, Patch with { Direction = PatchDirections.Denoising });
        using var nodes = NodePatcher.Run(model, new NodePatch { Clean = Clean, Corrupt = Corrupt, Metric = Patch.Metric,
            Sites = [HookSite.Z] });
        using var scope = NewDisposeScope();
        for (var layer = 0; layer < 3; layer++)
            for (var head = 0; head < 4; head++)
                Assert.Equal(nodes.Denoising![HookSite.Z][layer, TensorIndex.Colon, head].sum().item<double>(),
                    Out(edges, Sender.Head(layer, head)), 1e-12);
    }

    private static double Out(EdgeScores scores, Sender sender) =>
        Enumerable.Range(0, scores.Graph.Receivers.Count).Sum(r => scores.Values[scores.Graph.IndexOf(sender), r]);

    [Fact]
    public void Integrated_along_the_input_edges_out_of_it_add_up_to_the_whole_effect()
    {
        using var model = TinyModels.Make("gpt2");
        var scores = EdgePatcher.Run(model, Patch with { Method = EdgeMethod.IntegratedInputs, Steps = 200 });
        Assert.Equal(Value(model, Corrupt) - Value(model, Clean), Out(scores, Sender.Input), 1e-4);
        var rough = EdgePatcher.Run(model, Patch with { Method = EdgeMethod.Gradient });
        Assert.True(Math.Abs(Value(model, Corrupt) - Value(model, Clean) - Out(rough, Sender.Input)) > 1e-2);
    }

    // The parallel model has ReLUs, whose kinks an average over steps meets at the speed of their number.
    [Theory, InlineData("gpt2", 40, 1e-3), InlineData("parallel", 400, 2e-3)]
    public void Integrated_along_each_senders_output_edges_add_up_to_the_effect_of_patching_it(string kind, int steps, double tolerance)
    {
        using var model = TinyModels.Make(kind);
        var scores = EdgePatcher.Run(model, Patch with { Method = EdgeMethod.IntegratedActivations, Steps = steps });
        foreach (var (point, senders) in new (string, Sender[])[]
        {
            ("blocks.0.hook_resid_pre", [Sender.Input]), ("blocks.0.hook_mlp_out", [Sender.Mlp(0)]),
            ("blocks.0.attn.hook_z", [.. Enumerable.Range(0, model.Config.HeadCount).Select(h => Sender.Head(0, h))]),
        })
        {
            var patched = Value(model, Clean with
            {
                Sources = new Dictionary<string, Plan> { ["there"] = Corrupt },
                    Interventions = [new Intervention(point, new PatchFromOp("there"))],
            });
            Assert.Equal(patched - Value(model, Clean), senders.Sum(s => Out(scores, s)), tolerance);
        }
    }

    private static double Value(TransformerModel model, Plan plan)
    {
        using var run = PlanRunner.Run(model, plan with { Objective = new Objective { Metric = Patch.Metric } });
        using var scope = NewDisposeScope();
        return run.Metric!.mean().item<double>();
    }

    [Fact]
    public void What_cannot_be_scored_is_refused_with_the_reason()
    {
        using var model = TinyModels.Make("attention");
        void Refused(string reason, EdgePatch wrong, ExecutionOptions? options = null) =>
            Assert.Equal(reason, Assert.Throws<InterpException>(() => EdgePatcher.Run(model, wrong, options)).Reason);

        Refused("EDGE_DIRECTION", Patch with { Direction = PatchDirections.Both });
        Refused("INVALID_OPTION", Patch with { Method = EdgeMethod.IntegratedInputs, Steps = 0 });
        Refused("ATTRIBUTION_TOO_LARGE", Patch, new ExecutionOptions { MemoryLimit = 1000 });
        Refused("SOURCE_ROWS", Patch with { Corrupt = new Plan { Rows = [.. Corrupt.Rows.Take(1)] } });
        Refused("PAIR_SOURCE", Patch with { Corrupt = Corrupt with { Interventions = [new Intervention("hook_embed",
            new CallbackOp((_, _) => null))] } });
        var graph = new ResidualGraph(model.Config);
        Assert.Equal(graph.EdgeCount, graph.Receivers.Select((_, i) => graph.Reaching(i)).Sum());
        Assert.Equal("a0.h1->a1.h2<q>", graph.NameOf(graph.IndexOf(Sender.Head(0, 1)), graph.IndexOf(Receiver.Query(1, 2))));
        Assert.Equal("NO_PATH", Assert.Throws<InterpException>(() => graph.ParseEdge("a1.h1->a1.h2<q>")).Reason);
        Assert.Equal("UNKNOWN_EDGE", Assert.Throws<InterpException>(() => graph.ParseEdge("a1.h1")).Reason);
        Assert.Equal("UNKNOWN_SENDER", Assert.Throws<InterpException>(() => graph.ParseEdge("m0->logits")).Reason);
    }
}
