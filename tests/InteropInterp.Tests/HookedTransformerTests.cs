using InteropInterp.Attribution;
using InteropInterp.Circuits;
using InteropInterp.Circuits.Paths;
using InteropInterp.Circuits.Weights;
using InteropInterp.Heads;
using InteropInterp.Hooks;
using InteropInterp.Lenses;
using InteropInterp.Models;
using InteropInterp.Native.Operators;
using InteropInterp.Patching;
using InteropInterp.Plans;
using InteropInterp.Plans.Interventions;
using InteropInterp.Plans.Metrics;
using static TorchSharp.torch;

namespace InteropInterp.Tests;

/// <summary>Analyses in a view of one's own: what stands in it runs in each of them.</summary>
public class HookedTransformerTests
{
    private static readonly Plan Clean = new() { Rows = Row.From([[3, 1, 20, 7], [9, 9, 2, 14]]) };
    private static readonly Plan Corrupt = new() { Rows = Row.From([[3, 1, 5, 7], [9, 4, 2, 14]]) };
    private static readonly Metric Difference = new LogitDiff([3, 8], [9, 1]);

    private static HookedTransformer Make() => HookedTransformer.FromConfig(TinyModel.Config);

    [Fact]
    public void Each_analysis_is_the_engines_own()
    {
        using var model = Make();
        var nodes = new NodePatch { Clean = Clean, Corrupt = Corrupt, Metric = Difference, Sites = [HookSite.Z] };
        using (var found = model.AttributeNodes(nodes))
        using (var direct = NodePatcher.Run(model.Model, nodes))
            Assert.Equal(0, Golden.Distance(found.Denoising![HookSite.Z], direct.Denoising![HookSite.Z]));
        var edges = new EdgePatch { Clean = Clean, Corrupt = Corrupt, Metric = Difference };
        var scores = model.AttributeEdges(edges);
        Assert.Equal(EdgePatcher.Run(model.Model, edges).Values, scores.Values);
        var paths = new PathPatch { Base = Clean, Source = Corrupt, Metric = Difference, Senders = [[Sender.Head(0, 1)]], Receivers = [[Receiver.Logits]] };
        Assert.Equal(PathPatcher.Run(model.Model, paths).Values, model.PatchPaths(paths).Values);

        var task = new CircuitTask { Prompts = Clean, Ablation = new SweepFromRun(Corrupt), Metric = Difference };
        var acdc = model.FindCircuit(task, 0.05);
        using (var runner = model.RunCircuits(task))
        {
            Assert.Equal(Acdc.Find(runner, 0.05).Circuit.Edges, acdc.Circuit.Edges);
            Assert.Equal(acdc.Distance, Math.Abs(runner.Run(acdc.Circuit) - runner.Baseline.Average()), 1e-5);
        }
        Assert.Equal("INVALID_OPTION", Assert.Throws<InterpException>(() => model.FindCircuit(task, -1)).Reason);
        var experiment = new PatchingExperiment(Clean, Corrupt, Difference);
        Assert.Equal(TinyModel.Config.LayerCount * TinyModel.Config.HeadCount, model.Explore(experiment, SweepGrid.Of("attn_head_out_all_pos")).Restored.Count);
        var confirmed = model.Confirm(experiment, CircuitEvaluation.TopEdges(scores, [0, 5, model.Graph.EdgeCount]));
        Assert.Equal([0, 5, model.Graph.EdgeCount], confirmed.Select(c => c.Edges));
        Assert.Equal(0, confirmed[0].Recovered, 1e-5);
        Assert.Equal(1, confirmed[2].Recovered, 1e-5);

        using var lens = model.TrainTunedLens(Clean.Rows, new TunedLensOptions { Steps = 2 });
        Assert.Equal(2, lens.Losses.Count);
        Assert.Equal(12, model.ScoreHeads(RepeatedTokens.Of([[1, 2, 3]], null)).Induction.Count);
        Assert.Equal(3, model.DetectHeads(Clean.Rows, "previous_token_head").Length);
        using var weighed = model.WeighAttention(Clean);
        Assert.Equal([3L, 2, 4, 4, 4], weighed.shape);
    }

    [Fact]
    public void What_stands_in_the_view_runs_in_analyses_that_take_plans()
    {
        using var model = Make();
        var nodes = new NodePatch { Clean = Clean, Corrupt = Corrupt, Metric = Difference, Sites = [HookSite.ResidPre] };
        using var before = model.AttributeNodes(nodes);
        model.PermanentInterventions.Add(new Intervention("blocks.0.hook_mlp_out", new ZeroOp()));
        using var after = model.AttributeNodes(nodes);
        Assert.NotEqual(0, Golden.Distance(before.Denoising![HookSite.ResidPre], after.Denoising![HookSite.ResidPre]));
        // Circuits ablate edges by themselves: prompts are rows and nothing else.
        var task = new CircuitTask { Prompts = Clean, Ablation = new SweepZero(), Metric = Difference };
        Assert.Equal("PAIR_BASE", Assert.Throws<InterpException>(() => model.RunCircuits(task)).Reason);
    }

    [Fact]
    public void Attention_is_weighed_by_what_it_moves()
    {
        using var model = TinyModels.Make("llama");
        var plan = new Plan { Rows = Row.From([[3, 1, 2, 7], [9, 9, 2, 4]]), Captures = [new Capture("blocks.1.attn.hook_pattern"), new Capture("blocks.1.attn.hook_v")] };
        using var run = PlanRunner.Run(model, plan);
        using var scope = NewDisposeScope();
        var values = run["blocks.1.attn.hook_v"].transpose(1, 2);
        values = values.repeat_interleave(model.Config.HeadCount / values.size(1), 1);
        foreach (var weighting in Enum.GetValues<AttentionWeighting>())
        {
            var moved = weighting == AttentionWeighting.Value ? values : values.MatMul(model.StateDict["blocks.1.attn.W_O"]);
            var expected = run["blocks.1.attn.hook_pattern"] * moved.norm(-1).unsqueeze(2);
            using var found = WeightedAttention.Of(model, plan with { Captures = [] }, [1, 0], weighting);
            Assert.True(Golden.Distance(found[0], expected) < 1e-5);
        }
        Assert.Equal("ROWS_RAGGED", Assert.Throws<InterpException>(() => WeightedAttention.Of(model, new Plan { Rows = Row.From([[1, 2], [3]]) }, [0])).Reason);
        Assert.Equal("LAYER_OUT_OF_RANGE", Assert.Throws<InterpException>(() => WeightedAttention.Of(model, plan, [9])).Reason);
    }

    [Fact]
    public void Full_circuits_are_the_products_and_their_heads_are_checked()
    {
        using var model = ModelLoader.Random(TinyModel.Config);
        using var scope = NewDisposeScope();
        var (embed, unembed) = (model.Weights.Embed, model.Weights.Unembed);
        var ov = embed.MatMul(AttentionCircuits.OV(model, 1)[2].AB).MatMul(unembed.t());
        Assert.True(Golden.Distance(FullCircuits.OV(model, new HeadName(1, 2)).AB, ov) < 1e-5);
        var qk = embed.MatMul(AttentionCircuits.QK(model, 0)[3].AB).MatMul(embed.t());
        Assert.True(Golden.Distance(FullCircuits.QK(model, new HeadName(0, 3)).AB, qk) < 1e-5);
        Assert.Equal("HEAD_OUT_OF_RANGE", Assert.Throws<InterpException>(() => FullCircuits.QK(model, new HeadName(0, 4))).Reason);
    }
}
