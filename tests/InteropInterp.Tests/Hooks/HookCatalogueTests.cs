using InteropInterp.Hooks;
using InteropInterp.Plans;

namespace InteropInterp.Tests.Hooks;

public class HookCatalogueTests
{
    [Fact]
    public void Names_and_firing_order_are_TransformerLenss()
    {
        // solu-1l's cache keys (TransformerLens, tests/integration/test_cache_hook_names.py).
        using var model = TinyModels.Make("gpt2", change: c => c with { LayerCount = 1, Activation = "solu_ln", Normalization = "LNPre" });
        string[] expected =
        [
            "hook_embed", "hook_pos_embed", "blocks.0.hook_resid_pre", "blocks.0.ln1.hook_scale", "blocks.0.ln1.hook_normalized", "blocks.0.attn.hook_q",
            "blocks.0.attn.hook_k", "blocks.0.attn.hook_v", "blocks.0.attn.hook_attn_scores", "blocks.0.attn.hook_pattern", "blocks.0.attn.hook_z",
            "blocks.0.hook_attn_out", "blocks.0.hook_resid_mid", "blocks.0.ln2.hook_scale", "blocks.0.ln2.hook_normalized", "blocks.0.mlp.hook_pre",
            "blocks.0.mlp.hook_mid", "blocks.0.mlp.ln.hook_scale", "blocks.0.mlp.ln.hook_normalized", "blocks.0.mlp.hook_post", "blocks.0.hook_mlp_out",
            "blocks.0.hook_resid_post", "ln_final.hook_scale", "ln_final.hook_normalized", "unembed.hook_in", "unembed.hook_out",
        ];
        Assert.Equal(expected, new HookCatalogue(model.Config, ModelFlags.None).Names);
        using var run = PlanRunner.Run(model, new Plan { Rows = [new([1, 2, 3])], Captures = [new Capture("*")] });
        Assert.Equal(expected, run.Captures.Keys);
    }

    [Theory, InlineData("gpt2"), InlineData("llama"), InlineData("parallel"), InlineData("attention")]
    public void Every_point_fires_in_the_order_and_shape_it_is_listed_with(string kind)
    {
        using var model = TinyModels.Make(kind);
        foreach (var flags in new[]
        {
            ModelFlags.None,
            new ModelFlags { UseAttnResult = true, UseSplitQkvInput = true, UseHookMlpIn = kind != "attention", UseHookTokens = true },
            new ModelFlags { UngroupGroupedQueryAttention = true },
        })
        {
            var catalogue = new HookCatalogue(model.Config, flags);
            using var run = PlanRunner.Run(model, new Plan { Rows = [new([1, 2, 3]), new([4, 5, 6])], Flags = flags, Captures = [new Capture("*")] });
            Assert.Equal(catalogue.Names, run.Captures.Keys);
            foreach (var point in catalogue.Points) Assert.Equal(catalogue.Shape(point, 2, 3, 3), run[point.Name].shape);
        }
    }

    [Fact]
    public void Flags_change_what_is_seen_and_not_what_is_computed()
    {
        foreach (var kind in TinyModels.Kinds)
        {
            using var model = TinyModels.Make(kind);
            using var plain = PlanRunner.Run(model, new Plan { Rows = [new([1, 2, 3])], Outputs = Outputs.AllLogits });
            ModelFlags[] all =
            [
                new() { UseAttnResult = true }, new() { UseSplitQkvInput = true }, new() { UngroupGroupedQueryAttention = true },
                new() { UngroupGroupedQueryAttention = true, UseSplitQkvInput = true },
                .. kind == "llama" ? [] : new[] { new ModelFlags { UseAttnIn = true } },
                .. kind == "attention" ? [] : new[] { new ModelFlags { UseHookMlpIn = true } },
            ];
            foreach (var flags in all)
            {
                // Looked at, so that the way on which the value exists is taken.
                using var run = PlanRunner.Run(model, new Plan { Rows = [new([1, 2, 3])], Flags = flags, Outputs = Outputs.AllLogits, Captures = [new Capture("*")] });
                Assert.True(Golden.Distance(run.Logits!, plain.Logits!) <= 1e-9, $"{kind} {flags}");
            }
        }
    }

    [Theory]
    [InlineData("blocks.1.hook_in", "blocks.1.hook_resid_pre"), InlineData("blocks.1.hook_out", "blocks.1.hook_resid_post")]
    [InlineData("embed.hook_out", "hook_embed"), InlineData("blocks.0.attn.q.hook_out", "blocks.0.attn.hook_q")]
    [InlineData("blocks.0.attn.o.hook_in", "blocks.0.attn.hook_z"), InlineData("blocks.0.mlp.out.hook_in", "blocks.0.mlp.hook_post")]
    [InlineData("blocks.0.ln2.hook_in", "blocks.0.hook_resid_mid"), InlineData("blocks.0.mlp.in.hook_out", "blocks.0.mlp.hook_pre")]
    public void Names_of_TransformerLens_4_mean_the_same_points(string alias, string name)
    {
        using var model = TinyModels.Make("gpt2");
        Assert.Equal(name, new HookCatalogue(model.Config, ModelFlags.None).Resolve(alias).Name);
    }

    [Theory]
    [InlineData("q", 3, null, "blocks.3.attn.hook_q"), InlineData("k6a", null, null, "blocks.6.attn.hook_k"), InlineData("pre5", null, null, "blocks.5.mlp.hook_pre")]
    [InlineData("resid_pre", 2, null, "blocks.2.hook_resid_pre"), InlineData("attn", 1, null, "blocks.1.attn.hook_pattern"), InlineData("scale", 1, "ln1", "blocks.1.ln1.hook_scale")]
    [InlineData("scale", null, null, "ln_final.hook_scale"), InlineData("embed", null, null, "hook_embed"), InlineData("value", 0, "attn", "blocks.0.attn.hook_v")]
    [InlineData("blocks.0.hook_resid_pre", null, null, "blocks.0.hook_resid_pre"), InlineData("mlp_out", 4, null, "blocks.4.hook_mlp_out")]
    public void Shorthand_expands_as_get_act_name_does(string name, int? layer, string? type, string expected) =>
        Assert.Equal(expected, ActivationNames.Expand(name, layer, type));

    [Theory]
    [InlineData("blocks.*.hook_mlp_out", "blocks.11.hook_mlp_out", true), InlineData("blocks.*.hook_mlp_out", "blocks.1.hook_mlp_out_", false)]
    [InlineData("*", "hook_embed", true), InlineData("*hook_q", "blocks.0.attn.hook_q", true), InlineData("*hook_q", "hook_rot_q", false)]
    [InlineData("blocks.*.*.hook_*", "blocks.3.attn.hook_z", true), InlineData("blocks.*.*.hook_*", "blocks.3.hook_z", false)]
    [InlineData("a*a", "a", false), InlineData("a*a", "aa", true), InlineData("a**b*c", "axbxc", true), InlineData("a.c*", "abcd", false)]
    public void A_star_stands_for_any_run_of_characters(string pattern, string name, bool matches) =>
        Assert.Equal(matches, new HookPattern(pattern).Matches(name));
}
