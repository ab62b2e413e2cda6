using InteropInterp.Attribution;
using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using InteropInterp.Plans.Interventions;
using InteropInterp.Plans.Metrics;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Attribution;

public class NodePatcherTests
{
    private static readonly Plan Clean = new() { Rows = Row.From([[5, 9, 17, 3, 8, 30], [11, 4, 4, 21, 2, 7], [1, 2, 3, 4, 5, 6]]) };
    private static readonly Plan Corrupt = new() { Rows = Row.From([[5, 9, 12, 3, 25, 30], [11, 6, 4, 21, 33, 7], [1, 2, 9, 4, 5, 6]]) };
    private static readonly Metric Difference = new LogitDiff([3, 8, 4], [9, 1, 4 + 1]);

    private static NodePatch Patch(params IReadOnlyList<HookSite> sites) =>
        new() { Clean = Clean, Corrupt = Corrupt, Metric = Difference, Sites = sites };

    [Theory, InlineData("gpt2"), InlineData("llama"), InlineData("parallel"), InlineData("attention")]
    public void It_is_the_difference_times_the_gradient_in_either_direction_however_batches_are_cut(string kind)
    {
        using var model = TinyModels.Make(kind);
        List<HookSite> sites = [HookSite.ResidPre, HookSite.Q, HookSite.K, HookSite.V, HookSite.Pattern, HookSite.Z, HookSite.AttnOut,
            HookSite.ResidPost];
        if (kind != "attention") sites.AddRange([HookSite.MlpPost, HookSite.MlpOut]);
        if (kind is "gpt2" or "llama") sites.Add(HookSite.ResidMid);
        using var both = NodePatcher.Run(model, Patch(sites) with { Directions = PatchDirections.Both });
        using var cut = NodePatcher.Run(model, Patch(sites) with { Directions = PatchDirections.Both },
            new ExecutionOptions { BatchBudget = 1 });
        using var one = NodePatcher.Run(model, Patch(sites) with { Directions = PatchDirections.Noising });
        Assert.Null(one.Denoising);
        using var clean = Captured(model, Clean, sites);
        using var corrupt = Captured(model, Corrupt, sites);
        using var scope = NewDisposeScope();
        foreach (var site in sites)
            for (var layer = 0; layer < model.Config.LayerCount; layer++)
            {
                var name = new HookPoint(site, layer).Name;
                Tensor Expected(RunResult there, RunResult here)
                {
                    var products = (there[name] - here[name]) * here[name + "_grad"];
                    return (site is HookSite.Pattern or HookSite.MlpPost ? products : products.sum(-1)).sum([0]);
                }
                foreach (var result in new[] { both, cut })
                    Assert.True(Golden.Distance(result.Denoising![site][layer], Expected(clean, corrupt)) < 1e-12, $"{name} denoising");
                foreach (var result in new[] { both, cut, one })
                    Assert.True(Golden.Distance(result.Noising![site][layer], Expected(corrupt, clean)) < 1e-12, $"{name} noising");
                Assert.True(both.Denoising![site].abs().max().item<double>() > 1e-4);
            }
    }

    private static RunResult Captured(TransformerModel model, Plan plan, IReadOnlyList<HookSite> sites)
    {
        var names = sites.SelectMany(s => Enumerable.Range(0, model.Config.LayerCount).Select(l => new HookPoint(s, l).Name)).ToList();
        return PlanRunner.Run(model, plan with
        {
            Objective = new Objective { Metric = Difference },
            Captures = [.. names.Select(n => new Capture(n)), .. names.Select(n => new Capture(n) { Gradient = true })],
        });
    }

    [Theory, InlineData("gpt2"), InlineData("llama"), InlineData("parallel")]
    public void The_fix_of_queries_and_keys_is_the_exact_change_of_the_pattern_times_its_gradient(string kind)
    {
        using var model = TinyModels.Make(kind);
        using var result = NodePatcher.Run(model, Patch(HookSite.Q, HookSite.K, HookSite.V) with { FixQueriesAndKeys = true });
        using var plain = NodePatcher.Run(model, Patch(HookSite.Q, HookSite.K, HookSite.V));
        using var scope = NewDisposeScope();
        Assert.True(Golden.Distance(result.Denoising![HookSite.V], plain.Denoising![HookSite.V]) < 1e-12);
        Assert.True(Golden.Distance(result.Denoising[HookSite.K], plain.Denoising[HookSite.K]) > 1e-3);
        const string Pattern = "blocks.1.attn.hook_pattern";
        using var here = PlanRunner.Run(model, Corrupt with
        {
            Objective = new Objective { Metric = Difference }, Captures = [new Capture(Pattern), new Capture(Pattern) { Gradient = true }],
        });
        foreach (var site in new[] { HookSite.Q, HookSite.K })
            for (var head = 0; head < (site == HookSite.Q ? model.Config.HeadCount : model.Config.KeyHeads); head++)
                for (var position = 1; position < 6; position += 2)
                {
                    using var patched = PlanRunner.Run(model, Corrupt with
                    {
                        Sources = new Dictionary<string, Plan> { ["clean"] = Clean }, Captures = [new Capture(Pattern)],
                        Interventions = [new Intervention(new HookPoint(site, 1).Name,
                            new PatchFromOp("clean")) { Where = new Selector { Heads = Positions.At(head),
                            Positions = Positions.At(position) } }],
                    });
                    var expected = ((patched[Pattern] - here[Pattern]) * here[Pattern + "_grad"]).sum().item<double>();
                    Assert.Equal(expected, result.Denoising[site][1, position, head].item<double>(), 1e-12);
                }
    }

    [Fact]
    public void A_key_that_has_nearly_all_attention_can_lose_it()
    {
        // What is left for the others, 1e-12 of the whole, decides where attention goes once the key is gone.
        using var scope = NewDisposeScope();
        var config = TinyModels.Config("gpt2") with { LayerCount = 1, HeadCount = 1, ModelWidth = 1, HeadWidth = 1, AttentionScale = 1 };
        var queries = tensor(new double[] { 0, 0, 1 }, [1, 3, 1, 1]);
        var keys = tensor(new double[] { 0, 30, 1 }, [1, 3, 1, 1]);
        var pattern = tensor(new double[] { 1, 0, 0, .5, .5, 0, 0, 0, 0 }, [1, 1, 3, 3]);
        pattern[0, 0, 2].copy_(tensor(new double[] { 0, 30, 1 }).softmax(-1));
        var gradient = tensor(new double[] { 0, 0, 0, 0, 0, 0, 5, 2, 3 }, [1, 1, 3, 3]);
        var fix = new QueryKeyFix(config.Complete(), 0, pattern, gradient, queries, keys);
        var replaced = tensor(new double[] { 0, -30, 1 }, [1, 3, 1, 1]);
        var expected = ((tensor(new double[] { 0, -30, 1 }).softmax(-1) - pattern[0, 0, 2]) * gradient[0, 0, 2]).sum().item<double>();
        Assert.Equal(expected, fix.Keys(replaced)[0, 1, 0].item<double>(), 1e-12);
    }

    [Fact]
    public void GradDrop_averages_absolute_estimates_with_each_layer_held()
    {
        using var model = TinyModels.Make("gpt2");
        using var result = NodePatcher.Run(model, Patch(HookSite.Z, HookSite.ResidPre, HookSite.MlpOut) with { DropGradients = true });
        using var there = Captured(model, Clean, [HookSite.Z, HookSite.ResidPre, HookSite.MlpOut]);
        using var scope = NewDisposeScope();
        foreach (var site in new[] { HookSite.Z, HookSite.ResidPre, HookSite.MlpOut })
            for (var layer = 0; layer < 3; layer++)
            {
                var name = new HookPoint(site, layer).Name;
                Tensor? expected = null;
                for (var held = 0; held < 3; held++)
                {
                    using var run = PlanRunner.Run(model, Corrupt with
                    {
                        Objective = new Objective { Metric = Difference },
                            Captures = [new Capture(name), new Capture(name) { Gradient = true }],
                        Interventions =
                        [
                            new Intervention($"blocks.{held}.hook_attn_out", new ZeroOp()) { Gradient = true },
                            new Intervention($"blocks.{held}.hook_mlp_out", new ZeroOp()) { Gradient = true },
                        ],
                    });
                    var each = ((there[name] - run[name]) * run[name + "_grad"]).sum(-1).abs().sum([0]);
                    expected = expected is null ? each : (expected - each.neg());
                }
                using var two = 2.0.ToScalar();
                Assert.True(Golden.Distance(result.Denoising![site][layer], expected!.div(two)) < 1e-12, name);
            }
    }

    [Fact]
    public void What_cannot_be_attributed_is_refused_with_the_reason()
    {
        using var model = TinyModels.Make("parallel");
        void Refused(string reason, NodePatch wrong) =>
            Assert.Equal(reason, Assert.Throws<InterpException>(() => NodePatcher.Run(model, wrong)).Reason);

        Refused("SELECTS_NOTHING", Patch());
        Refused("SELECTS_NOTHING", Patch(HookSite.Z) with { Directions = 0 });
        Refused("SITE_TWICE", Patch(HookSite.Z, HookSite.Z));
        Refused("ATTRIBUTION_SITE", Patch(HookSite.Embed));
        Refused("ATTRIBUTION_SITE", Patch(HookSite.AttnScores));
        Refused("HOOK_POINT_SILENT", Patch(HookSite.ResidMid));
        Refused("SOURCE_ROWS", Patch(HookSite.Z) with { Corrupt = new Plan { Rows = [.. Corrupt.Rows.Take(1)] } });
        Refused("ROWS_OF_DIFFERENT_LENGTH", Patch(HookSite.Z) with { Clean = new Plan { Rows = Row.From([[1, 2], [3, 4, 5], [6, 7]]) },
            Corrupt = new Plan { Rows = Row.From([[1, 2], [3, 4, 5], [6, 7]]) } });
        Refused("PAIR_SOURCE", Patch(HookSite.Z) with { Corrupt = Corrupt with { Flags = new ModelFlags { UseAttnResult = true } } });
        Refused("METRIC_ROWS", Patch(HookSite.Z) with { Metric = new LogProb([1, 2]) });
        using var single = ModelLoader.Random(TinyModel.Config with { LayerCount = 1, VocabularySize = 40 });
        Assert.Equal("GRADDROP_NEEDS_LAYERS", Assert.Throws<InterpException>(() =>
            NodePatcher.Run(single, Patch(HookSite.Z) with { DropGradients = true })).Reason);
    }

    [Fact]
    public void TransformerLenss_attributions_of_a_trained_model_are_matched()
    {
        using var golden = new Golden(SharedFolder.Path("fixtures", "analysis", "attribution.safetensors"));
        using var model = ModelLoader.Load(SharedFolder.Path("fixtures", "models", "gpt2_shakespeare"));
        using var result = NodePatcher.Run(model, new NodePatch
        {
            Clean = new Plan { Rows = Row.From(golden.Rows("clean_tokens")) },
                Corrupt = new Plan { Rows = Row.From(golden.Rows("corrupted_tokens")) },
            Metric = new LogitDiff([881], [720]),
            Sites = [HookSite.Z, HookSite.Q, HookSite.K, HookSite.V, HookSite.Pattern, HookSite.MlpOut, HookSite.AttnOut, HookSite.MlpPost,
                HookSite.ResidPre, HookSite.ResidMid, HookSite.ResidPost],
        });
        using var scope = NewDisposeScope();
        // The fixture's metric is 0 on the corrupted prompt and 1 on the clean one.
        using var span = (0.2413043975830078 + 3.268705368041992).ToScalar();
        Tensor Of(HookSite site) => result.Denoising![site].div(span);
        var worst = 0.0;
        void Near(string name, Tensor actual)
        {
            golden.Near(name, actual, 1e-4);
            worst = Math.Max(worst, Golden.Distance(actual, golden[name]));
        }
        Near("head_out", Of(HookSite.Z));
        Near("head_q", Of(HookSite.Q));
        Near("head_k", Of(HookSite.K));
        Near("head_v", Of(HookSite.V));
        Near("head_pattern", Of(HookSite.Pattern));
        Near("head_pattern_by_dest", Of(HookSite.Pattern).sum(-1));
        Near("mlp_out", Of(HookSite.MlpOut));
        Near("neurons_last_layer", Of(HookSite.MlpPost)[3].sum([0]));
        Near("resid", stack([Of(HookSite.ResidPre), Of(HookSite.ResidMid)], 1).flatten(0, 1).narrow(0, 0, 8) is var streams
            ? cat([streams, Of(HookSite.ResidPost).narrow(0, 3, 1)], 0) : null!);
        // Its first two rows are the embeddings': no sites of blocks.
        var layers = Golden.Distance(stack([Of(HookSite.AttnOut), Of(HookSite.MlpOut)], 1).flatten(0, 1), golden["layer_out"].narrow(0, 2, 8));
        Assert.InRange(layers, 0, 1e-4);
        TestContext.Current.SendDiagnosticMessage($"attribution: off by {Math.Max(worst, layers):G3} at most");
    }
}
