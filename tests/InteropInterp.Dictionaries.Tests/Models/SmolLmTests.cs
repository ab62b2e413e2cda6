using InteropInterp.Dictionaries.Captures;
using InteropInterp.Dictionaries.Evaluation;
using InteropInterp.Dictionaries.Interventions;
using InteropInterp.Generation;
using InteropInterp.Native.Operators;
using InteropInterp.Plans;
using InteropInterp.Plans.Interventions;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Tests.Models;

/// <summary>A dictionary that SAELens trained on a real language model, against what PyTorch computes with both.</summary>
public class SmolLmTests(SmolLmFixture smol) : IClassFixture<SmolLmFixture>
{
    [Fact]
    public void Codes_and_reconstructions_of_the_golden_activations_are_the_golden_ones()
    {
        using var scope = NewDisposeScope();
        var x = smol.Golden["x"];
        CheckCodes(smol.Dictionary.Encode(x), 0);
        Relative(smol.Golden["recon"], smol.Dictionary.Reconstruct(x), 1e-5);
    }

    [Fact]
    public void Codes_captured_in_the_models_own_run_are_the_golden_ones()
    {
        using var run = PlanRunner.Run(smol.Model, new Plan
        {
            Rows = [.. smol.Rows.Take(2)],
            StopAtLayer = SmolLmFixture.Layer + 1,
            Captures = [DictionaryHook.At(new DictionaryCapture(smol.Dictionary), SmolLmFixture.AllButFirst)],
        });
        using var scope = NewDisposeScope();
        // The threshold is crossed by what the model's own rounding moves across it.
        CheckCodes(run[$"{SmolLmFixture.Hook}.hook_sae_acts_post"].flatten(0, 1), 1);
    }

    [Fact]
    public void The_loss_of_the_first_rows_clean_and_spliced_is_the_golden_one()
    {
        var rows = smol.Rows.Take(8).ToList();
        using var clean = PlanRunner.Run(smol.Model, new Plan
        {
            Rows = rows, Outputs = new Outputs { Loss = true }, Captures = [new Capture(SmolLmFixture.Hook)],
        });
        Assert.Equal(smol.Fact("ce_clean_first8"), clean.Loss!.Value, 1e-3);
        Assert.Equal(smol.Fact("ce_spliced_first8"), Resumed(new SpliceOp(smol.Dictionary)), 1e-3);
        Assert.Equal(clean.Loss.Value, Resumed(new SpliceOp(smol.Dictionary) { UseErrorTerm = true }), 1e-5);

        // The layers up to the dictionary's have run.
        double Resumed(SpliceOp op)
        {
            using var run = PlanRunner.Run(smol.Model, new Plan
            {
                Rows = rows,
                Residual = clean[SmolLmFixture.Hook],
                StartAtLayer = SmolLmFixture.Layer + 1,
                Outputs = new Outputs { Loss = true },
                Interventions = [new Intervention(SmolLmFixture.NextHook, op) { Where = SmolLmFixture.AllButFirst }],
            });
            return run.Loss!.Value;
        }
    }

    [Fact]
    public void Logit_weights_of_the_feature_are_the_golden_ones()
    {
        using var scope = NewDisposeScope();
        var feature = smol.Facts.GetProperty("feature");
        var (values, ids) = LogitWeights.Of(smol.Model, smol.Dictionary, smol.Feature).topk(10);
        Assert.Equal(feature.GetProperty("logit_weights_top_ids").EnumerateArray().Select(i => i.GetInt64()), ids.data<long>().ToArray());
        Near(feature.GetProperty("logit_weights_top"), values, 1e-4);
    }

    [Fact]
    public void A_steered_continuation_is_the_golden_one()
    {
        var steering = smol.Facts.GetProperty("steering");
        var prompt = steering.GetProperty("prompt_ids").EnumerateArray().Select(i => i.GetInt32()).ToList();
        var amount = steering.GetProperty("amount").GetDouble();
        var steer = DictionaryHook.At(new SteerOp(smol.Dictionary, smol.Feature, amount), SmolLmFixture.AllButFirst);
        foreach (var (interventions, prefix) in new (IReadOnlyList<Intervention>, string)[] { ([], "plain_"), ([steer], "") })
        {
            using var run = PlanRunner.Run(smol.Model, new Plan
            {
                Rows = [new Row(prompt)], Interventions = interventions, Outputs = new Outputs { Logits = LogitsWanted.Last },
            });
            using var scope = NewDisposeScope();
            var (values, ids) = run.Logits!.flatten().topk(10);
            Assert.Equal(steering.GetProperty($"{prefix}top_ids").EnumerateArray().Select(i => i.GetInt64()), ids.data<long>().ToArray());
            Near(steering.GetProperty($"{prefix}top_logits"), values, 1e-3);
        }
        using var generated = PlanRunner.Run(smol.Model, new Plan
        {
            Rows = [new Row(prompt)], Interventions = [steer], Generation = new GenerationOptions { MaxNewTokens = 20, Sample = false },
        });
        Assert.Equal(steering.GetProperty("greedy_ids").EnumerateArray().Select(i => i.GetInt32()), generated.Tokens![0]);
    }

    private static void Near(System.Text.Json.JsonElement expected, Tensor actual, double tolerance) =>
        Assert.InRange(Golden.Distance(actual, tensor(expected.EnumerateArray().Select(v => v.GetDouble()).ToArray())), 0, tolerance);

    private static void Relative(Tensor expected, Tensor actual, double tolerance)
    {
        var golden = expected.to(ScalarType.Float64);
        Assert.InRange((golden - actual.to(ScalarType.Float64)).norm().item<double>() / golden.norm().item<double>(), 0, tolerance);
    }

    // The golden lists the entries that are not 0.
    private void CheckCodes(Tensor codes, int mayDiffer)
    {
        var expected = zeros_like(codes);
        TensorIndex Index(string name) => TensorIndex.Tensor(smol.Golden[name].to(ScalarType.Int64));
        expected.index_put_(smol.Golden["codes_value"], Index("codes_row"), Index("codes_column"));
        Relative(expected, codes, 1e-4);
        Assert.InRange(expected.ne(Scalars.Zero).ne(codes.ne(Scalars.Zero)).sum().item<long>(), 0, mayDiffer);
    }
}
