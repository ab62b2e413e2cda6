using InteropInterp.Models;
using InteropInterp.Models.Weights;
using InteropInterp.Patching;
using InteropInterp.Patching.Corruptions;
using InteropInterp.Plans;
using InteropInterp.Plans.Interventions;
using InteropInterp.Plans.Metrics;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Patching;

/// <summary>One clean run and several corrupted ones, in both directions, against sweeps of each alone.</summary>
public class CorruptionSweepTests
{
    private static readonly Plan Clean = new() { Rows = Row.From([[5, 9, 17, 3, 8, 30], [11, 4, 4, 21, 2, 7]]) };
    private static readonly Metric Difference = new LogitDiff([3, 8], [9, 1]);

    private static readonly Corruption[] Three =
    [
        new CorruptRun("prompts", new Plan { Rows = Row.From([[5, 9, 12, 3, 25, 30], [11, 6, 4, 21, 33, 7]]) }),
        new TokenReplacement("names", [(17, 12), (4, 6)]),
        new GaussianNoise("noise", new Selector { Positions = Positions.At(1, 2) }, Seed: 5),
    ];

    private static TransformerModel Model(string positions = "standard") => ModelLoader.Random(
        new TransformerConfig
        {
            LayerCount = 3, ModelWidth = 16, HeadWidth = 4, ContextLength = 12, VocabularySize = 40, Activation = "gelu_new", InitializerRange = 0.4, Seed = 1,
            PositionalEmbedding = positions,
        },
        new LoadOptions { Processing = ProcessingOptions.None, DataType = ScalarType.Float64 });

    private static Sweep Of(string grid, PatchDirections directions = PatchDirections.Both, Metric? metric = null, params Corruption[] corruptions) => new()
    {
        Base = Clean, Grid = SweepGrid.Of(grid), Source = new SweepCorruptions(corruptions, directions), Metric = metric ?? Difference, MoreMetrics = [new Loss()],
    };

    [Theory]
    [InlineData("resid_pre"), InlineData("attn_head_out_by_pos"), InlineData("attn_head_k_all_pos"), InlineData("attn_head_pattern_all_pos"), InlineData("mlp_out")]
    public void Each_corruption_and_direction_is_the_sweep_that_does_it_alone(string grid)
    {
        using var model = Model();
        var both = SweepRunner.Run(model, Of(grid, corruptions: Three));
        var cells = both.Values.Count / 6;
        Assert.Equal([SweepAxis.Direction, SweepAxis.Corruption, SweepAxis.Layer], both.Axes.Take(3));
        Assert.Equal([2, 3, 3], both.Shape.Take(3));
        Assert.Equal([(int)PatchDirections.Denoising, (int)PatchDirections.Noising], both.Indices[0]);
        Assert.Equal(["prompts", "names", "noise"], both.Corruptions);
        for (var part = 0; part < 6; part++)
        {
            var corrupt = Three[part % 3].Apply(Clean);
            var (here, there) = part < 3 ? (corrupt, Clean) : (Clean, corrupt);
            var alone = SweepRunner.Run(model, new Sweep { Base = here, Source = new SweepFromRun(there), Grid = SweepGrid.Of(grid), Metric = Difference, MoreMetrics = [new Loss()] });
            for (var m = 0; m < 2; m++)
            {
                var (found, expected) = (both.Metrics[m], alone.Metrics[m]);
                for (var cell = 0; cell < cells; cell++)
                {
                    Assert.Equal(expected.Values[cell], found.Values[part * cells + cell], 1e-9);
                    Assert.Equal(expected.PerRow![cell * 2 + 1], found.PerRow![(part * cells + cell) * 2 + 1], 1e-9);
                }
                Assert.Equal(expected.Baseline, found.Ends!.BaselineOf(part * cells), 1e-9);
            }
            var (clean, low) = (both.Metrics[0].Ends!.Clean, both.Metrics[0].Ends!.Corrupt[part % 3]);
            Assert.Equal((alone.Values[1] - low) / (clean - low), both.Metrics[0].Normalized[part * cells + 1], 1e-9);
        }
    }

    [Fact]
    public void One_direction_is_a_part_of_both_and_a_function_measures_as_a_metric_does()
    {
        using var model = Model("rotary");
        var both = SweepRunner.Run(model, Of("resid_pre", corruptions: Three));
        var noising = SweepRunner.Run(model, Of("resid_pre", PatchDirections.Noising, corruptions: Three));
        Assert.Equal(both.Values.Skip(both.Values.Count / 2), noising.Values, (a, b) => Math.Abs(a - b) < 1e-12);
        Assert.Equal(both.Metrics[0].Ends!.Corrupt, noising.Metrics[0].Ends!.Corrupt, (a, b) => Math.Abs(a - b) < 1e-12);
        var asked = SweepRunner.Run(model, Of("resid_pre", corruptions: Three) with
        {
            Metric = null, MoreMetrics = [], Function = logits =>
            {
                using var scope = NewDisposeScope();
                var last = logits.select(1, -1);
                return (last[0, 3].item<double>() - last[0, 9].item<double>() + last[1, 8].item<double>() - last[1, 1].item<double>()) / 2;
            },
        });
        Assert.Equal(both.Values, asked.Values, (a, b) => Math.Abs(a - b) < 1e-9);
        Assert.Equal(both.Metrics[0].Normalized, asked.Metrics[0].Normalized, (a, b) => Math.Abs(a - b) < 1e-9);
    }

    [Fact]
    public void The_whole_last_stream_restores_everything_and_destroys_everything()
    {
        using var model = Model();
        var result = SweepRunner.Run(model, Of("resid_post", corruptions: Three) with { Layers = Positions.At(2), PositionsSwept = Positions.At(-1) });
        // Denoising 1, noising 0, with each of three corruptions.
        Assert.Equal([1, 1, 1, 0, 0, 0], result.Metrics[0].Normalized, (a, b) => Math.Abs(a - b) < 1e-9);
    }

    [Fact]
    public void Interventions_of_the_clean_run_hold_in_corrupted_ones_too()
    {
        using var model = Model();
        var edited = Clean with { Interventions = [new Intervention("blocks.1.hook_mlp_out", new ScaleOp(0.5))] };
        var result = SweepRunner.Run(model, Of("attn_out", corruptions: Three[2]) with { Base = edited });
        var alone = SweepRunner.Run(model, new Sweep
        {
            Base = Three[2].Apply(edited), Source = new SweepFromRun(edited), Grid = SweepGrid.Of("attn_out"), Metric = Difference,
        });
        Assert.Equal(alone.Values, result.Values.Take(alone.Values.Count), (a, b) => Math.Abs(a - b) < 1e-9);
    }

    [Fact]
    public void What_corrupts_nothing_or_does_not_correspond_is_refused_with_the_number()
    {
        using var model = Model();
        void Refused(string reason, string number, params Corruption[] corruptions)
        {
            var error = Assert.Throws<InterpException>(() => SweepRunner.Run(model, Of("resid_pre", corruptions: corruptions)));
            Assert.Equal(reason, error.Reason);
            Assert.Contains(number, error.Message, StringComparison.Ordinal);
        }
        Refused("NO_CORRUPTIONS", "0 corruptions");
        Refused("CORRUPTION_NAME_TWICE", "2 corruptions are called 'names'", Three[1], Three[1]);
        Refused("SELECTS_NOTHING", "row 1", new TokenReplacement("names", [(17, 12)]));
        Refused("SELECTS_NOTHING", "no pairs", new TokenReplacement("names", []));
        Refused("TOKEN_TWICE", "(4, 12)", new TokenReplacement("names", [(17, 12), (4, 12)]));
        Refused("TOKEN_OUT_OF_RANGE", "99", new TokenReplacement("names", [(17, 99), (4, 6)]));
        Refused("POSITION_OUT_OF_RANGE", "6", new TokenReplacement("names", [(17, 12), (4, 6)]) { Where = Positions.At(6) });
        Refused("POSITION_OUT_OF_RANGE", "9", new GaussianNoise("noise", new Selector { Positions = Positions.At(9) }));
        Refused("INVALID_NOISE", "-1", new GaussianNoise("noise", Selector.All, -1));
        Refused("SOURCE_ROWS", "1, those of the sweep 2", new CorruptRun("one", new Plan { Rows = Row.From([[1, 2, 3, 4, 5, 6]]) }));
        Refused("PROMPTS_OF_DIFFERENT_LENGTH", "Row 1 has 6 tokens, that of corruption 'short' 5",
            new CorruptRun("short", new Plan { Rows = Row.From([[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5]]) }));
        Refused("SWEEP_SOURCE", "'stops'", new CorruptRun("stops", Clean with { StopAtLayer = 1 }));
        var nothing = Assert.Throws<InterpException>(() => SweepRunner.Run(model, Of("resid_pre", directions: 0, corruptions: Three)));
        Assert.Equal("NO_DIRECTION", nothing.Reason);
        var same = SweepRunner.Run(model, Of("resid_pre", corruptions: new CorruptRun("same", Clean)));
        Assert.Equal("TASK_NOT_SOLVED", Assert.Throws<InterpException>(() => same.Metrics[0].Normalized).Reason);
        var plain = SweepRunner.Run(model, new Sweep { Base = Clean, Source = new SweepZero(), Grid = SweepGrid.Of("attn_out"), Metric = Difference });
        Assert.Equal("NO_CORRUPTIONS", Assert.Throws<InterpException>(() => plain.Metrics[0].Normalized).Reason);
    }
}
