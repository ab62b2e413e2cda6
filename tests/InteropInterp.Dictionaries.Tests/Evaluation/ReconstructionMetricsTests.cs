using System.Text.Json;
using InteropInterp.Dictionaries.Evaluation;
using InteropInterp.Dictionaries.Interventions;
using InteropInterp.Dictionaries.Tests.Support;
using InteropInterp.Plans;
using InteropInterp.Plans.Interventions;
using InteropInterp.Plans.Metrics;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Tests.Evaluation;

/// <summary>SAELens's evaluation, recomputed from the definitions.</summary>
public class ReconstructionMetricsTests
{
    [Fact]
    public void Explained_variance_of_the_hand_cases_is_exact_even_where_the_mean_dwarfs_the_spread()
    {
        foreach (var hand in Fixture.FactsOf("evals_hand").GetProperty("cases").EnumerateArray())
        {
            using var scope = NewDisposeScope();
            var (x, y) = (Matrix(hand.GetProperty("x")), Matrix(hand.GetProperty("x_hat")));
            var quality = Gathered(x, y, [.. hand.GetProperty("batches").EnumerateArray().Select(b => b.GetInt64())]);
            if (hand.GetProperty("exact").ValueKind == JsonValueKind.Null) Assert.True(double.IsNaN(quality.ExplainedVariance));
            else Assert.Equal(hand.GetProperty("exact").GetDouble(), quality.ExplainedVariance, 1e-12);
            var legacy = hand.GetProperty("explained_variance_legacy_one_batch");
            if (legacy.ValueKind != JsonValueKind.Number) continue;
            Assert.Equal(legacy.GetDouble(), Gathered(x, y, [x.size(0)]).ExplainedVarianceLegacy, 1e-6);
        }
    }

    [Theory]
    [InlineData("evals_standard")]
    [InlineData("evals_hook_z")]
    public void Quality_and_loss_of_a_spliced_model_are_SAELenss(string name)
    {
        using var fixture = new Fixture(name);
        using var model = Fixture.TinyModel();
        using var dictionary = DictionaryLoader.Load(fixture.Folder);
        var golden = fixture.Facts.GetProperty("results").GetProperty("all_tokens").GetProperty("metrics");
        double Metric(string group, string metric) => golden.GetProperty(group).GetProperty(metric).GetDouble();
        void Near(string group, string metric, double actual) => Assert.Equal(1, actual / Metric(group, metric), 1e-5);

        var metrics = new ReconstructionMetrics();
        var biases = new List<double>();
        double clean = 0, spliced = 0, ablated = 0, divergence = 0, divergenceAblated = 0;
        foreach (var rows in Row.From(fixture.Golden.Rows("tokens")).Chunk(4))
        {
            using var scope = NewDisposeScope();
            Plan Plan(params IReadOnlyList<Intervention> interventions) => new()
            {
                Rows = rows, Outputs = Outputs.AllLogits with { Loss = true }, Interventions = interventions,
            };
            using var run = PlanRunner.Run(model, Plan() with { Captures = [new Capture(dictionary.HookName)] });
            using var splice = PlanRunner.Run(model, Plan(DictionaryHook.At(new SpliceOp(dictionary))));
            using var zeroed = PlanRunner.Run(model, Plan(new Intervention(dictionary.HookName, new ZeroOp())));
            metrics.Add(dictionary, run[dictionary.HookName]);
            var batch = new ReconstructionMetrics();
            batch.Add(dictionary, run[dictionary.HookName]);
            biases.Add(batch.Finish().RelativeReconstructionBias);
            clean += run.Loss!.Value / 3;
            spliced += splice.Loss!.Value / 3;
            ablated += zeroed.Loss!.Value / 3;
            divergence += LogitMetrics.KlDivergence(run.Logits!, splice.Logits!).mean().item<float>() / 3;
            divergenceAblated += LogitMetrics.KlDivergence(run.Logits!, zeroed.Logits!).mean().item<float>() / 3;
        }
        Near("model_performance_preservation", "ce_loss_without_sae", clean);
        Near("model_performance_preservation", "ce_loss_with_sae", spliced);
        Near("model_performance_preservation", "ce_loss_with_ablation", ablated);
        Assert.Equal(Metric("model_performance_preservation", "ce_loss_score"), LogitMetrics.Recovered(clean, spliced, ablated), 1e-4);
        Near("model_behavior_preservation", "kl_div_with_sae", divergence);
        Near("model_behavior_preservation", "kl_div_with_ablation", divergenceAblated);

        var quality = metrics.Finish();
        Near("reconstruction_quality", "explained_variance", quality.ExplainedVariance);
        Near("reconstruction_quality", "explained_variance_legacy", quality.ExplainedVarianceLegacy);
        Near("reconstruction_quality", "mse", quality.MeanSquaredError);
        Near("reconstruction_quality", "cossim", quality.CosineSimilarity);
        Near("shrinkage", "l2_norm_in", quality.NormIn);
        Near("shrinkage", "l2_norm_out", quality.NormOut);
        Near("shrinkage", "l2_ratio", quality.NormRatio);
        // A quotient of means: SAELens averages it over batches, we take it over all tokens.
        Near("shrinkage", "relative_reconstruction_bias", biases.Average());
        Assert.InRange(quality.RelativeReconstructionBias, biases.Min(), biases.Max());
        Near("sparsity", "l0", quality.L0);
        Near("sparsity", "l1", quality.L1);
        using var end = NewDisposeScope();
        fixture.Golden.Near("all_tokens.feature_density", tensor(quality.FeatureDensity.ToArray()), 1e-7);
        var dead = fixture.Facts.GetProperty("all_tokens_in_one_batch").GetProperty("dead").GetInt32();
        Assert.Equal(dead / 80.0, quality.DeadShare, 1e-12);
    }

    [Fact]
    public void A_small_norm_counts_as_1_in_the_ratio_of_norms()
    {
        using var scope = NewDisposeScope();
        var x = tensor(new[] { 1e-5, 0, 0, 2 }, [2, 2]);
        var y = tensor(new[] { 0.5, 0, 0, 1 }, [2, 2]);
        Assert.Equal(0.5, Gathered(x, y, [2]).NormRatio, 1e-12);
    }

    [Fact]
    public void Nothing_added_is_refused_instead_of_giving_0()
    {
        Assert.Equal("NO_TOKENS", Assert.Throws<InterpException>(() => new ReconstructionMetrics().Finish()).Reason);
    }

    [Fact]
    public void Shapes_of_different_tokens_are_refused()
    {
        using var scope = NewDisposeScope();
        var metrics = new ReconstructionMetrics();
        Assert.Equal("METRIC_SHAPES", Assert.Throws<InterpException>(() => metrics.Add(zeros(3, 2), zeros(2, 2), zeros(3, 4))).Reason);
        Assert.Equal("METRIC_SHAPES", Assert.Throws<InterpException>(() => LogitMetrics.KlDivergence(zeros(3, 2), zeros(2, 2))).Reason);
    }

    private static ReconstructionQuality Gathered(Tensor x, Tensor y, IReadOnlyList<long> batches)
    {
        var metrics = new ReconstructionMetrics();
        var start = 0L;
        foreach (var count in batches)
        {
            metrics.Add(x.narrow(0, start, count), y.narrow(0, start, count), zeros([count, 1]));
            start += count;
        }
        return metrics.Finish();
    }

    private static Tensor Matrix(JsonElement rows) =>
        tensor(rows.EnumerateArray().SelectMany(r => r.EnumerateArray()).Select(v => v.GetDouble()).ToArray(), [rows.GetArrayLength(), 2]);
}
