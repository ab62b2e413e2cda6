using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Patching;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using InteropInterp.Plans.Interventions;
using InteropInterp.Plans.Metrics;
using InteropInterp.Randomness;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Patching;

public class SweepTests
{
    private static readonly int[][] Clean = [[5, 9, 17, 3, 8, 30], [11, 4, 4, 21, 2, 7]];
    private static readonly int[][] Corrupt = [[5, 9, 12, 3, 25, 30], [11, 6, 4, 21, 33, 7]];

    private static TransformerConfig Config(string kind) => kind switch
    {
        "gpt2" => new TransformerConfig
        {
            LayerCount = 3, ModelWidth = 16, HeadWidth = 4, ContextLength = 12, VocabularySize = 40, Activation = "gelu_new", InitializerRange = 0.4, Seed = 1,
        },
        // Grouped keys, rotary positions, gated MLP.
        "llama" => new TransformerConfig
        {
            LayerCount = 3, ModelWidth = 16, HeadWidth = 4, HeadCount = 4, KeyValueHeads = 2, ContextLength = 12, VocabularySize = 40, Activation = "silu", GatedMlp = true,
            Normalization = "RMS", PositionalEmbedding = "rotary", InitializerRange = 0.4, Seed = 2,
        },
        "bidirectional" => Config("gpt2") with { AttentionDirection = "bidirectional" },
        _ => new TransformerConfig
        {
            LayerCount = 2, ModelWidth = 16, HeadWidth = 4, ContextLength = 12, VocabularySize = 40, Activation = "relu", ParallelBlocks = true,
            PositionalEmbedding = "rotary", RotaryWidth = 2, InitializerRange = 0.4, Seed = 3,
        },
    };

    public static TheoryData<string, string, string> Grids
    {
        get
        {
            var data = new TheoryData<string, string, string>();
            foreach (var model in new[] { "gpt2", "llama", "parallel" })
                foreach (var grid in SweepGrid.Names.Concat(Unnamed.Keys).Where(g => model != "parallel" || g != "resid_mid"))
                    foreach (var dtype in new[] { "float64", "float32" }) data.Add(model, grid, dtype);
            // Where every position may see every other.
            foreach (var grid in new[] { "resid_pre", "attn_head_k_by_pos", "attn_head_pattern_by_pos", "mlp_post by_pos" }) data.Add("bidirectional", grid, "float64");
            return data;
        }
    }

    // Grids without a name of TransformerLens's; what is before the activation is swept in whole rows.
    private static readonly Dictionary<string, SweepGrid> Unnamed = new()
    {
        ["mlp_post"] = new(HookSite.MlpPost, SweepAxis.Layer),
        ["mlp_post by_pos"] = new(HookSite.MlpPost, SweepAxis.Layer, SweepAxis.Position),
        ["neurons"] = new(HookSite.MlpPost, SweepAxis.Layer, SweepAxis.Neuron),
        ["neurons by_pos"] = new(HookSite.MlpPost, SweepAxis.Layer, SweepAxis.Position, SweepAxis.Neuron),
        ["neurons before"] = new(HookSite.MlpPre, SweepAxis.Layer, SweepAxis.Neuron),
        ["whole layers"] = new(HookSite.ResidPre, SweepAxis.Layer),
        ["whole attention"] = new(HookSite.AttnOut, SweepAxis.Layer),
        ["heads first"] = new(HookSite.V, SweepAxis.Layer, SweepAxis.Head, SweepAxis.Position),
        ["scores"] = new(HookSite.AttnScores, SweepAxis.Layer, SweepAxis.Head),
    };

    private static SweepGrid GridOf(string name) => Unnamed.TryGetValue(name, out var grid) ? grid : SweepGrid.Of(name);

    private static readonly Metric Difference = new LogitDiff([3, 8], [9, 1]);

    [Theory, MemberData(nameof(Grids))]
    public void A_sweep_equals_one_forward_pass_per_cell(string kind, string gridName, string dtype)
    {
        var type = dtype == "float64" ? ScalarType.Float64 : ScalarType.Float32;
        using var model = ModelLoader.Random(Config(kind), new LoadOptions { Processing = InteropInterp.Models.Weights.ProcessingOptions.None, DataType = type });
        var grid = GridOf(gridName);
        var swept = SweepRunner.Run(model, new Sweep
        {
            Base = new Plan { Rows = Row.From(Corrupt) },
            Grid = grid,
            Source = new SweepFromRun(new Plan { Rows = Row.From(Clean) }),
            Metric = Difference,
        });
        var worst = 0.0;
        var spread = 0.0;
        // Of the largest grids every seventh cell, which meets all layers, heads and positions.
        for (var cell = 0; cell < swept.Values.Count; cell += swept.Values.Count > 150 ? 7 : 1)
        {
            var naive = Naive(model, grid, swept, cell);
            worst = Math.Max(worst, Math.Abs(naive - swept.Values[cell]));
            spread = Math.Max(spread, Math.Abs(naive - swept.Baseline));
        }
        Assert.True(worst <= (dtype == "float64" ? 1e-9 : 1e-4), $"off by {worst:G3}");
        Assert.True(spread > 1e-3, "no cell changes anything: the test would pass for a sweep that does nothing");
    }

    public static TheoryData<string, string> Ablations
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (var kind in new[] { "gpt2", "llama", "parallel" })
                foreach (var grid in SweepGrid.Names.Concat(Unnamed.Keys).Where(g => kind != "parallel" || g != "resid_mid")) data.Add(kind, grid);
            return data;
        }
    }

    [Theory, MemberData(nameof(Ablations))]
    public void An_ablation_equals_one_forward_pass_per_cell(string kind, string gridName)
    {
        using var model = ModelLoader.Random(Config(kind), new LoadOptions { Processing = InteropInterp.Models.Weights.ProcessingOptions.None, DataType = ScalarType.Float64 });
        var grid = GridOf(gridName);
        var reference = new Plan { Rows = Row.From([[1, 5, 9, 2, 2, 3], [8, 8, 1, 0, 7, 12], [3, 30, 3, 30, 3, 30]]) };
        var draws = new CounterDraws(4, 0);
        var drawn = new Plan { Rows = [reference.Rows[draws.Below(3)], reference.Rows[draws.Below(3)]] };
        foreach (var (source, op, from) in new (SweepSource, InterventionOp, Plan)[]
        {
            (new SweepZero(), new ZeroOp(), drawn), (new SweepMean(reference), new MeanOp("clean"), reference), (new SweepResample(reference, 4), new PatchFromOp("clean"), drawn),
        })
        {
            var swept = SweepRunner.Run(model, new Sweep { Base = new Plan { Rows = Row.From(Corrupt) }, Grid = grid, Source = source, Metric = Difference });
            // A few cells of each, the first and the last among them.
            var step = Math.Max(1, (swept.Values.Count - 1) / 6);
            for (var cell = 0; cell < swept.Values.Count; cell += step) Assert.Equal(Naive(model, grid, swept, cell, op, from), swept.Values[cell], 1e-9);
        }
    }

    private static double Naive(TransformerModel model, SweepGrid grid, SweepResult swept, int cell, InterventionOp? op = null, Plan? source = null)
    {
        var (layer, where) = (0, Selector.All);
        for (int axis = grid.Axes.Count - 1, rest = cell; axis >= 0; axis--)
        {
            var index = swept.Indices[axis][rest % swept.Shape[axis]];
            rest /= swept.Shape[axis];
            switch (grid.Axes[axis])
            {
                case SweepAxis.Layer: layer = index; break;
                case SweepAxis.Position: where = where with { Positions = Positions.At(index) }; break;
                case SweepAxis.Head: where = where with { Heads = Positions.At(index) }; break;
                default: where = where with { Last = Positions.At(index) }; break;
            }
        }
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = Row.From(Corrupt),
            Sources = new Dictionary<string, Plan> { ["clean"] = source ?? new Plan { Rows = Row.From(Clean) } },
            Interventions = [new Intervention(new HookPoint(grid.Site, layer).Name, op ?? new PatchFromOp("clean")) { Where = where }],
            Objective = new Objective { Metric = Difference },
        });
        using var scope = NewDisposeScope();
        Assert.Equal(Corrupt.Length, run.Fired[0].Count);
        return run.Metric!.to(ScalarType.Float64).mean().item<double>();
    }

    [Fact]
    public void A_function_of_the_logits_is_called_once_per_cell_and_gives_the_declared_metrics_numbers()
    {
        using var model = ModelLoader.Random(Config("gpt2"));
        var declared = Run(model, "resid_pre", metric: Difference);
        foreach (var readsAll in new[] { false, true })
        {
            var calls = 0;
            var byFunction = Run(model, "resid_pre", function: logits =>
            {
                calls++;
                using var scope = NewDisposeScope();
                Assert.Equal([2, 6, 40], logits.shape);
                var last = logits.select(1, -1);
                var value = (last[0, 3].item<float>() - last[0, 9].item<float>() + last[1, 8].item<float>() - last[1, 1].item<float>()) / 2;
                return value + (readsAll ? logits[0, 0, 0].item<float>() : 0);
            });
            // Once per cell, once for the baseline, once to find out what it reads.
            Assert.Equal(declared.Values.Count + 2, calls);
            if (!readsAll)
                for (var i = 0; i < declared.Values.Count; i++) Assert.Equal(declared.Values[i], byFunction.Values[i], 1e-5);
        }
    }

    [Fact]
    public void A_cache_serves_as_source_and_passes_are_cut_without_changing_a_number()
    {
        using var model = ModelLoader.Random(Config("llama"));
        var expected = Run(model, "attn_head_v_by_pos", metric: Difference);
        using var clean = PlanRunner.Run(model, new Plan { Rows = Row.From(Clean), Captures = [new Capture("blocks.*.attn.hook_v")] });
        var cached = Run(model, "attn_head_v_by_pos", metric: Difference, source: new SweepFromCache(clean.Captures), options: new ExecutionOptions { BatchBudget = 1 });
        for (var i = 0; i < expected.Values.Count; i++) Assert.Equal(expected.Values[i], cached.Values[i], 1e-5);
    }

    [Fact]
    public void Zero_ablation_equals_a_plan_that_zeroes()
    {
        using var model = ModelLoader.Random(Config("gpt2"));
        var swept = Run(model, "attn_head_out_all_pos", metric: Difference, source: new SweepZero());
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = Row.From(Corrupt),
            Interventions = [new Intervention("blocks.1.attn.hook_z", new ZeroOp()) { Where = new Selector { Heads = Positions.At(2) } }],
            Objective = new Objective { Metric = Difference },
        });
        using var scope = NewDisposeScope();
        Assert.Equal(run.Metric!.mean().item<float>(), swept[1, 2], 1e-5);
    }

    [Fact]
    public void Interventions_of_the_base_hold_in_every_cell_once()
    {
        using var model = ModelLoader.Random(Config("gpt2"), new LoadOptions { Processing = InteropInterp.Models.Weights.ProcessingOptions.None, DataType = ScalarType.Float64 });
        using var direction = ones(16, ScalarType.Float64);
        Intervention[] edits = [new("blocks.*.hook_resid_pre", new AddOp(direction, 0.3)), new("blocks.1.hook_mlp_out", new ScaleOp(0.5))];
        var swept = Run(model, "resid_pre", metric: Difference, interventions: edits);
        for (var layer = 0; layer < 3; layer++)
        {
            using var run = PlanRunner.Run(model, new Plan
            {
                Rows = Row.From(Corrupt),
                Sources = new Dictionary<string, Plan> { ["clean"] = new Plan { Rows = Row.From(Clean), Interventions = edits } },
                Interventions = [.. edits, new Intervention($"blocks.{layer}.hook_resid_pre", new PatchFromOp("clean")) { Where = new Selector { Positions = Positions.At(2) } }],
                Objective = new Objective { Metric = Difference },
            });
            using var scope = NewDisposeScope();
            Assert.Equal(run.Metric!.mean().item<double>(), swept[layer, 2], 1e-9);
        }
    }

    [Fact]
    public void Layers_positions_and_heads_can_be_chosen_and_progress_is_told()
    {
        using var model = ModelLoader.Random(Config("gpt2"));
        var whole = Run(model, "attn_head_q_by_pos", metric: Difference);
        var told = new List<(int, int)>();
        var part = SweepRunner.Run(model, new Sweep
        {
            Base = new Plan { Rows = Row.From(Corrupt) },
            Grid = SweepGrid.Of("attn_head_q_by_pos"),
            Source = new SweepFromRun(new Plan { Rows = Row.From(Clean) }),
            Metric = Difference,
            Layers = Positions.At(2, 0),
            PositionsSwept = Positions.At(-1),
            Heads = Positions.At(1, 3),
            Progress = (done, all) => told.Add((done, all)),
        });
        Assert.Equal([2, 1, 2], part.Shape);
        Assert.Equal(whole[2, 5, 3], part[0, 0, 1], 1e-5);
        Assert.Equal(whole[0, 5, 1], part[1, 0, 0], 1e-5);
        Assert.Equal((4, 4), told[^1]);
    }

    [Fact]
    public void What_cannot_be_swept_is_refused_with_the_reason()
    {
        using var model = ModelLoader.Random(Config("parallel"));
        void Refused(string reason, string number, Action act)
        {
            var error = Assert.Throws<InterpException>(act);
            Assert.Equal(reason, error.Reason);
            Assert.Contains(number, error.Message, StringComparison.Ordinal);
        }
        void Empty(string number, Func<Sweep, Sweep> chosen) => Refused("SELECTS_NOTHING", number, () => SweepRunner.Run(model, chosen(new Sweep
        {
            Base = new Plan { Rows = Row.From(Corrupt) }, Grid = SweepGrid.Of("attn_head_out_by_pos"), Source = new SweepZero(), Metric = Difference,
        })));

        Refused("HOOK_POINT_SILENT", "blocks.0.hook_resid_mid", () => Run(model, "resid_mid", metric: Difference));
        Refused("UNKNOWN_GRID", "resid_per", () => Run(model, "resid_per", metric: Difference));
        Refused("SWEEP_METRIC", "one metric", () => Run(model, "resid_pre"));
        Refused("PROMPTS_OF_DIFFERENT_LENGTH", "6 tokens, the source's 5",
            () => Run(model, "resid_pre", metric: Difference, source: new SweepFromRun(new Plan { Rows = Row.From(Clean.Select(r => r[1..])) })));
        Refused("SOURCE_ROWS", "are 1, those of the sweep 2", () => Run(model, "resid_pre", metric: Difference, source: new SweepFromRun(new Plan { Rows = Row.From(Clean[..1]) })));
        Refused("CACHE_LACKS_ACTIVATION", "blocks.0.hook_resid_pre",
            () => Run(model, "resid_pre", metric: Difference, source: new SweepFromCache(new Dictionary<string, Tensor>())));
        Refused("TOKEN_OUT_OF_RANGE", "40", () => Run(model, "resid_pre", metric: new LogProb([40])));
        Refused("POSITION_OUT_OF_RANGE", "6", () => Run(model, "resid_pre", metric: new LogProb([4]) { Position = 6 }));
        Refused("METRIC_ROWS", "names 3 target tokens", () => Run(model, "resid_pre", metric: new LogProb([4, 4, 4])));
        Refused("LAYER_OUT_OF_RANGE", "layer 2 is out of range: there are 2", () => SweepRunner.Run(model, new Sweep
        {
            Base = new Plan { Rows = Row.From(Corrupt) }, Grid = SweepGrid.Of("attn_out"), Source = new SweepZero(), Metric = Difference, Layers = Positions.At(2),
        }));
        Refused("HOOK_POINT_SILENT", "'blocks.0.hook_mlp_in'", () => Run(model, "resid_pre", metric: Difference, interventions: [new Intervention("blocks.0.hook_mlp_in", new ZeroOp())]));
        Empty("no layer: 2: of 2", s => s with { Layers = Positions.Slice(2) });
        Empty("no position: 4:4 of 6", s => s with { PositionsSwept = Positions.Slice(4, 4) });
        Empty("no head: [] of 4", s => s with { Heads = Positions.At() });
    }

    [Theory]
    [InlineData("resid_pre"), InlineData("resid_mid"), InlineData("attn_out"), InlineData("mlp_out")]
    [InlineData("attn_head_out_all_pos"), InlineData("attn_head_q_all_pos"), InlineData("attn_head_k_all_pos"), InlineData("attn_head_v_all_pos")]
    [InlineData("attn_head_pattern_all_pos"), InlineData("attn_head_out_by_pos"), InlineData("attn_head_q_by_pos"), InlineData("attn_head_k_by_pos")]
    [InlineData("attn_head_v_by_pos"), InlineData("attn_head_pattern_by_pos"), InlineData("attn_head_pattern_dest_src_pos")]
    public void TransformerLenss_sweeps_of_a_trained_model_are_matched(string grid)
    {
        using var golden = new Golden(SharedFolder.Path("fixtures", "analysis", "patching.safetensors"));
        using var model = ModelLoader.Load(SharedFolder.Path("fixtures", "models", "gpt2_shakespeare"));
        var width = grid == "attn_head_pattern_dest_src_pos" ? 6 : 22;
        var result = SweepRunner.Run(model, new Sweep
        {
            Base = new Plan { Rows = Row.From(golden.Rows("corrupted_tokens").Select(r => r[..width])) },
            Grid = SweepGrid.Of(grid),
            Source = new SweepFromRun(new Plan { Rows = Row.From(golden.Rows("clean_tokens").Select(r => r[..width])) }),
            // The metric of the fixture: the logit difference of 'PETRUCHIO' and 'GLOUCESTER'.
            Metric = new LogitDiff([881], [720]),
        });
        using var scope = NewDisposeScope();
        golden.Near($"get_act_patch_{grid}", tensor(result.Values.ToArray(), [.. result.Shape.Select(s => (long)s)]), 1e-4);
    }

    [Theory]
    [InlineData("resid_pre"), InlineData("attn_out"), InlineData("attn_head_out_by_pos"), InlineData("attn_head_out_all_pos")]
    [InlineData("attn_head_q_all_pos"), InlineData("attn_head_k_all_pos"), InlineData("attn_head_v_all_pos"), InlineData("attn_head_pattern_all_pos")]
    [InlineData("attn_head_pattern_by_pos")]
    public void TransformerLenss_sweeps_of_a_trained_attention_only_model_are_matched(string grid)
    {
        using var golden = new Golden(SharedFolder.Path("fixtures", "analysis", "attn2l.safetensors"));
        using var model = ModelLoader.Load(
            SharedFolder.Path("models", "04_induction_attn2L", "derived", "induction_head_infinite.safetensors"),
            new LoadOptions { Processing = InteropInterp.Models.Weights.ProcessingOptions.None });
        var clean = Row.From(golden.Rows("tokens"));
        var result = SweepRunner.Run(model, new Sweep
        {
            Base = new Plan { Rows = Row.From(golden.Rows("corrupted")) }, Grid = SweepGrid.Of(grid), Source = new SweepFromRun(new Plan { Rows = clean }),
            // The fixture's metric: the logit of what followed the last time.
            Function = logits => clean.Select((row, r) => (double)logits[r, 15, row.Tokens[4]].item<float>()).Average(),
        });
        using var scope = NewDisposeScope();
        golden.Near($"get_act_patch_{grid}", tensor(result.Values.ToArray(), [.. result.Shape.Select(s => (long)s)]), 1e-4);
    }

    [Theory]
    [InlineData("resid_pre"), InlineData("attn_head_out_all_pos")]
    public void TransformerLenss_sweeps_of_a_batch_are_matched(string grid)
    {
        using var golden = new Golden(SharedFolder.Path("fixtures", "analysis", "patching.safetensors"));
        using var model = ModelLoader.Load(SharedFolder.Path("fixtures", "models", "gpt2_shakespeare"));
        var answers = golden.Rows("batch/answers");
        var result = SweepRunner.Run(model, new Sweep
        {
            Base = new Plan { Rows = Row.From(golden.Rows("batch/corrupted_tokens")) }, Grid = SweepGrid.Of(grid),
            Source = new SweepFromRun(new Plan { Rows = Row.From(golden.Rows("batch/clean_tokens")) }),
            Metric = new LogitDiff([.. answers.Select(a => a[0])], [.. answers.Select(a => a[1])]),
        });
        using var scope = NewDisposeScope();
        golden.Near($"batch/get_act_patch_{grid}", tensor(result.Values.ToArray(), [.. result.Shape.Select(s => (long)s)]), 1e-4);
    }

    private static SweepResult Run(
        TransformerModel model, string grid, Metric? metric = null, Func<Tensor, double>? function = null, SweepSource? source = null,
        ExecutionOptions? options = null, IReadOnlyList<Intervention>? interventions = null) => SweepRunner.Run(
            model,
            new Sweep
            {
                Base = new Plan { Rows = Row.From(Corrupt), Interventions = interventions ?? [] },
                Grid = SweepGrid.Of(grid),
                Source = source ?? new SweepFromRun(new Plan { Rows = Row.From(Clean), Interventions = interventions ?? [] }),
                Metric = metric,
                Function = function,
            },
            options);
}
