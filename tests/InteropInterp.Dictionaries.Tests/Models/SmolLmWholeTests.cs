using InteropInterp.Dictionaries.Evaluation;
using InteropInterp.Dictionaries.Interventions;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using InteropInterp.Plans.Interventions;
using InteropInterp.Plans.Metrics;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Tests.Models;

/// <summary>
/// The figures of all 64 judged rows: two minutes on two cores, so run on request only (-explicit on). One clean pass, then every
/// variant resumes from the dictionary's layer.
/// </summary>
[Trait("cost", "slow")]
public class SmolLmWholeTests(SmolLmFixture smol) : IClassFixture<SmolLmFixture>
{
    private const int RowsAtOnce = 8;

    [Fact(Explicit = true)]
    public void Quality_losses_and_divergence_of_the_judged_text_are_the_golden_ones()
    {
        using var scope = NewDisposeScope();
        var metrics = new ReconstructionMetrics();
        var activations = new List<Tensor>();
        double clean = 0, spliced = 0, zeroed = 0, ablated = 0, divergence = 0;
        var chunks = smol.Rows.Chunk(RowsAtOnce).ToList();
        foreach (var rows in chunks)
        {
            using var run = PlanRunner.Run(smol.Model, new Plan
            {
                Rows = rows, Outputs = Outputs.AllLogits with { Loss = true }, Captures = [new Capture(SmolLmFixture.Hook)],
            });
            var x = run[SmolLmFixture.Hook].alias();
            activations.Add(x);
            metrics.Add(smol.Dictionary, x.narrow(1, 1, x.size(1) - 1));
            clean += run.Loss!.Value;
            using (var splice = Resume(rows, x, new SpliceOp(smol.Dictionary), Outputs.AllLogits))
            {
                spliced += splice.Loss!.Value;
                divergence += LogitMetrics.KlDivergence(run.Logits!, splice.Logits!).mean().item<float>();
            }
            zeroed += Loss(rows, x, new ZeroOp());
            ablated += Loss(rows, x, SpliceOp.Edit(smol.Dictionary, FeatureEdit.Ablate(smol.Feature)));
        }
        var mean = cat([.. activations.Select(x => x.narrow(1, 1, x.size(1) - 1))]).mean([0, 1]);
        var meanAblated = chunks.Zip(activations).Sum(c => Loss(c.First, c.Second, new SetOp(mean)));

        double n = chunks.Count;
        Assert.Equal(smol.Fact("ce_clean"), clean / n, 1e-3);
        Assert.Equal(smol.Fact("ce_spliced"), spliced / n, 1e-3);
        Assert.Equal(smol.Fact("ce_zeroed"), zeroed / n, 1e-3);
        Assert.Equal(smol.Fact("ce_mean_ablated"), meanAblated / n, 1e-3);
        Assert.Equal(smol.Fact("ce_recovered_vs_zero"), LogitMetrics.Recovered(clean, spliced, zeroed), 1e-4);
        Assert.Equal(smol.Fact("kl_clean_to_spliced"), divergence / n, 1e-3);
        Assert.Equal(smol.Facts.GetProperty("feature").GetProperty("ce_ablated_error_term_kept").GetDouble(), ablated / n, 1e-3);
        Assert.NotEqual(clean, ablated);

        var quality = metrics.Finish();
        Assert.Equal(64 * 127, quality.Tokens);
        Assert.Equal(smol.Fact("l0"), quality.L0, 5e-3);
        Assert.Equal(smol.Fact("explained_variance"), quality.ExplainedVariance, 1e-4);
        Assert.Equal(1, quality.MeanSquaredError / smol.Fact("mse_sum_over_d"), 1e-3);
        Assert.Equal(smol.Fact("cosine"), quality.CosineSimilarity, 1e-4);
        Assert.Equal(smol.Fact("never_fires_share"), quality.DeadShare, 1e-3);
        Assert.InRange(Golden.Distance(tensor(quality.FeatureDensity.ToArray()), smol.Golden["density"]), 0, 1e-3);
    }

    private double Loss(IReadOnlyList<Row> rows, Tensor x, InterventionOp op)
    {
        using var run = Resume(rows, x, op, Outputs.None);
        return run.Loss!.Value;
    }

    private RunResult Resume(IReadOnlyList<Row> rows, Tensor x, InterventionOp op, Outputs outputs) => PlanRunner.Run(smol.Model, new Plan
    {
        Rows = rows,
        Residual = x,
        StartAtLayer = SmolLmFixture.Layer + 1,
        Outputs = outputs with { Loss = true },
        Interventions = [new Intervention(SmolLmFixture.NextHook, op) { Where = SmolLmFixture.AllButFirst }],
    });
}
