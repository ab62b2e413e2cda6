using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Patching;
using InteropInterp.Plans;
using InteropInterp.Plans.Interventions;
using InteropInterp.Plans.Metrics;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Patching;

/// <summary>What is measured in cells, and what is put into them, against plain runs.</summary>
public class SweepMetricsTests
{
    private static readonly IReadOnlyList<Row> Clean = Row.From([[5, 9, 17, 3, 8, 30], [11, 4, 4, 21, 2, 7], [1, 2, 3, 4, 5, 6]]);
    private static readonly IReadOnlyList<Row> Corrupt = Row.From([[5, 9, 12, 3, 25, 30], [11, 6, 4, 21, 33, 7], [1, 2, 9, 4, 5, 6]]);
    private static readonly int[] Targets = [3, 8, 20];

    private static TransformerModel Model() => ModelLoader.Random(
        new TransformerConfig
        {
            LayerCount = 2, ModelWidth = 16, HeadWidth = 4, ContextLength = 12, VocabularySize = 40, Activation = "gelu_new", InitializerRange = 0.4, Seed = 1,
        },
        new LoadOptions { Processing = InteropInterp.Models.Weights.ProcessingOptions.None, DataType = ScalarType.Float64 });

    private static double[][] Logits(TransformerModel model, IReadOnlyList<Row> rows, params IReadOnlyList<Intervention> interventions)
    {
        using var run = PlanRunner.Run(model, new Plan { Rows = rows, Outputs = new Outputs { Logits = LogitsWanted.Last }, Interventions = interventions });
        using var scope = NewDisposeScope();
        var last = run.Logits!.squeeze(1);
        return [.. Enumerable.Range(0, rows.Count).Select(r => last[r].contiguous().data<double>().ToArray())];
    }

    private static double[] Softmax(double[] x) => [.. x.Select(v => Math.Exp(v - x.Max()) / x.Sum(w => Math.Exp(w - x.Max())))];

    [Fact]
    public void Several_metrics_of_one_sweep_are_what_each_is_by_definition()
    {
        using var model = Model();
        using var clean = PlanRunner.Run(model, new Plan { Rows = Clean, Outputs = new Outputs { Logits = LogitsWanted.Last } });
        using var reference = clean.Logits!.squeeze(1);
        using var weights = tensor(new[] { 2.0, -0.5 }, [1, 2]);
        double[][] each = [[1, 2], [-1, 0.5], [3, -2]];
        using var weightsPerRow = tensor([.. each.SelectMany(w => w)], [3, 2]);
        var sweep = new Sweep
        {
            Base = new Plan { Rows = Corrupt },
            Grid = SweepGrid.Of("resid_pre"),
            Source = new SweepFromRun(new Plan { Rows = Clean }),
            Metric = new LogitDiff(Targets, [9, 1, 0]),
            MoreMetrics =
            [
                new Prob(Targets), new Accuracy(Targets), new Rank(Targets), new KlDivergence(reference), new LogProb(Targets) { Position = 2 },
                new Weighted([4, 0], weights), new Weighted([4, 0], weights, TokenMeasure.LogProb), new Weighted([4, 0], weightsPerRow, TokenMeasure.Prob),
            ],
        };
        var result = SweepRunner.Run(model, sweep);
        var expected = Logits(model, Clean);
        double Mean(Func<double[], int, double> of, double[][] logits) => logits.Select((x, r) => of(x, r)).Average();
        for (var position = 0; position < 6; position++)
        {
            var at = new Intervention("blocks.1.hook_resid_pre", new PatchFromOp("clean")) { Where = new Selector { Positions = Positions.At(position) } };
            using var run = PlanRunner.Run(model, new Plan
            {
                Rows = Corrupt, Sources = new Dictionary<string, Plan> { ["clean"] = new() { Rows = Clean } }, Interventions = [at], Outputs = Outputs.AllLogits,
            });
            using var scope = NewDisposeScope();
            double[][] At(int p) => [.. Enumerable.Range(0, 3).Select(r => run.Logits![r, p].contiguous().data<double>().ToArray())];
            var logits = At(5);
            Assert.Equal(Mean((x, r) => x[Targets[r]] - x[new[] { 9, 1, 0 }[r]], logits), result.Metrics[0].Values[6 + position], 1e-9);
            Assert.Equal(Mean((x, r) => Softmax(x)[Targets[r]], logits), result.Metrics[1].Values[6 + position], 1e-9);
            Assert.Equal(Mean((x, r) => x[Targets[r]] == x.Max() ? 1 : 0, logits), result.Metrics[2].Values[6 + position], 1e-9);
            Assert.Equal(Mean((x, r) => x.Count(v => v > x[Targets[r]]), logits), result.Metrics[3].Values[6 + position], 1e-9);
            Assert.Equal(Mean((x, r) => Softmax(expected[r]).Zip(Softmax(x), (p, q) => p * Math.Log(p / q)).Sum(), logits), result.Metrics[4].Values[6 + position], 1e-9);
            Assert.Equal(Mean((x, r) => Math.Log(Softmax(x)[Targets[r]]), At(2)), result.Metrics[5].Values[6 + position], 1e-9);
            Assert.Equal(Mean((x, r) => 2 * x[4] - 0.5 * x[0], logits), result.Metrics[6].Values[6 + position], 1e-9);
            Assert.Equal(Mean((x, r) => 2 * Math.Log(Softmax(x)[4]) - 0.5 * Math.Log(Softmax(x)[0]), logits), result.Metrics[7].Values[6 + position], 1e-9);
            Assert.Equal(Mean((x, r) => each[r][0] * Softmax(x)[4] + each[r][1] * Softmax(x)[0], logits), result.Metrics[8].Values[6 + position], 1e-9);
        }
        Assert.Equal(result.Values, SweepRunner.Run(model, sweep with { MoreMetrics = [] }).Values, (a, b) => Math.Abs(a - b) < 1e-12);
        Assert.True(result.Metrics[4].Baseline > 0.01);
    }

    [Fact]
    public void The_spread_over_rows_is_the_standard_error_and_an_interval_that_a_seed_repeats()
    {
        using var model = Model();
        var values = SweepRunner.Run(model, new Sweep
        {
            Base = new Plan { Rows = Corrupt }, Grid = SweepGrid.Of("attn_out"), Source = new SweepZero(), Metric = new LogProb(Targets),
        }).Metrics[0];
        for (var cell = 0; cell < values.Values.Count; cell++)
        {
            var rows = values.PerRow!.Skip(cell * 3).Take(3).ToArray();
            var found = values.Statistics(cell, seed: 5);
            var deviation = Math.Sqrt(rows.Sum(x => Math.Pow(x - rows.Average(), 2)) / 2);
            Assert.Equal(values.Values[cell], found.Mean, 1e-12);
            Assert.Equal(deviation / Math.Sqrt(3), found.StandardError!.Value, 1e-12);
            Assert.InRange(found.Low, rows.Min() - 1e-12, found.Mean);
            Assert.InRange(found.High, found.Mean, rows.Max() + 1e-12);
            Assert.Equal(found, values.Statistics(cell, seed: 5));
        }
        Assert.Equal("CELL_OUT_OF_RANGE", Assert.Throws<InterpException>(() => values.Statistics(values.Values.Count)).Reason);
        Assert.Equal("INVALID_OPTION", Assert.Throws<InterpException>(() => values.Statistics(0, level: 1)).Reason);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_mean_of_a_reference_is_what_the_mean_ablation_of_a_plan_gives(bool overPositions)
    {
        using var model = Model();
        var reference = new Plan { Rows = Row.From([[1, 5, 9, 2, 2, 3], [8, 8, 1, 0, 7, 12], [3, 30, 3, 30, 3, 30], [6, 5, 4, 3, 2, 1]]) };
        var result = SweepRunner.Run(model, new Sweep
        {
            Base = new Plan { Rows = Corrupt }, Grid = SweepGrid.Of("attn_head_out_all_pos"), Source = new SweepMean(reference, overPositions), Metric = new LogProb(Targets),
        });
        for (var cell = 0; cell < 8; cell++)
        {
            using var run = PlanRunner.Run(model, new Plan
            {
                Rows = Corrupt,
                Sources = new Dictionary<string, Plan> { ["reference"] = reference },
                Interventions =
                [
                    new Intervention($"blocks.{cell / 4}.attn.hook_z", new MeanOp("reference", overPositions)) { Where = new Selector { Heads = Positions.At(cell % 4) } },
                ],
                Objective = new Objective { Metric = new LogProb(Targets) },
            });
            Assert.Equal(run.Metric!.data<double>().ToArray().Average(), result.Values[cell], 1e-9);
        }
    }

    [Fact]
    public void Resampling_puts_whole_rows_of_the_reference_in_and_a_seed_repeats_them()
    {
        using var model = Model();
        var reference = new Plan { Rows = [.. Clean, .. Corrupt] };
        Sweep Of(ulong seed) => new()
        {
            Base = new Plan { Rows = Corrupt }, Grid = SweepGrid.Of("resid_post"), Source = new SweepResample(reference, seed), Metric = new LogProb(Targets), Layers = Positions.At(1),
        };
        var first = SweepRunner.Run(model, Of(3));
        Assert.Equal(first.Values, SweepRunner.Run(model, Of(3)).Values);
        // The last position of the last layer is all that is read: each row's number is that of some row of the reference.
        var donors = Logits(model, reference.Rows);
        for (var r = 0; r < 3; r++)
            Assert.Contains(donors, logits => Math.Abs(Math.Log(Softmax(logits)[Targets[r]]) - first.PerRow![5 * 3 + r]) < 1e-9);
        Assert.Contains(Enumerable.Range(4, 20), seed => !SweepRunner.Run(model, Of((ulong)seed)).Values.SequenceEqual(first.Values));
    }

    [Fact]
    public void What_cannot_be_measured_or_put_in_is_refused_before_anything_runs()
    {
        using var model = Model();
        var sweep = new Sweep { Base = new Plan { Rows = Corrupt }, Grid = SweepGrid.Of("resid_pre"), Source = new SweepZero(), Metric = new Rank(Targets) };
        string Reason(Sweep refused) => Assert.Throws<InterpException>(() => SweepRunner.Run(model, refused)).Reason;
        using var small = zeros(2, 40);
        Assert.Equal("METRIC_REFERENCE", Reason(sweep with { Metric = new KlDivergence(small) }));
        Assert.Equal("TOKEN_OUT_OF_RANGE", Reason(sweep with { MoreMetrics = [new Prob([40])] }));
        Assert.Equal("POSITION_OUT_OF_RANGE", Reason(sweep with { MoreMetrics = [new Prob([4]) { Position = 6 }] }));
        Assert.Equal("SWEEP_METRIC", Reason(sweep with { Metric = null, Function = _ => 0, MoreMetrics = [new Prob([4])] }));
        var shorter = new Plan { Rows = Row.From([[1, 2, 3]]) };
        Assert.Equal("PROMPTS_OF_DIFFERENT_LENGTH", Reason(sweep with { Source = new SweepMean(shorter) }));
        Assert.Equal("PROMPTS_OF_DIFFERENT_LENGTH", Reason(sweep with { Source = new SweepResample(shorter) }));
        Assert.Equal("SOURCE_ROWS", Reason(sweep with { Source = new SweepResample(new Plan()) }));
        Assert.Equal("SOURCE_SHAPE", Reason(sweep with { Grid = SweepGrid.Of("attn_head_pattern_all_pos"), Source = new SweepMean(shorter, true) }));
        var gradient = Assert.Throws<InterpException>(() => PlanRunner.Run(model, new Plan
        {
            Rows = Corrupt, Objective = new Objective { Metric = new Rank(Targets) }, Captures = [new Capture(new HookPoint(HookSite.ResidPre, 0).Name) { Gradient = true }],
        }));
        Assert.Equal("METRIC_HAS_NO_GRADIENT", gradient.Reason);
    }
}
