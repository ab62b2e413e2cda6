using InteropInterp.Models;
using InteropInterp.Models.Weights;
using InteropInterp.Plans;
using InteropInterp.Plans.Metrics;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Models;

/// <summary>Models in bfloat16 and float16, on the CPU: slow and refused there, but the same ways as on a card.</summary>
[Collection(nameof(NoDefaultDevice))]
public sealed class HalfTypeTests : IDisposable
{
    public HalfTypeTests() => ComputeTypes.AllowHalfOnCpu = true;

    public void Dispose() => ComputeTypes.AllowHalfOnCpu = false;

    // Sixty-four of the type's own steps: seen are 26 of them at most in what is a difference of differences.
    [Theory, InlineData("bfloat16", 64.0 / 256), InlineData("float16", 64.0 / 2048)]
    public void Every_way_runs_near_float32(string name, double tolerance)
    {
        var type = ComputeTypes.Of(name);
        var far = new List<string>();
        foreach (var kind in TinyModels.Kinds)
        {
            using var full = TinyModels.Make(kind, ScalarType.Float32, Small);
            using var half = In(full, type);
            foreach (var (way, run) in DeviceRightTests.Ways)
            {
                // Draws near a boundary fall on either side.
                if (way == "generation") continue;
                if (way == "attribution of nodes" && type == ScalarType.Float16)
                {
                    Assert.Equal("QK_FIX_FLOAT16", Assert.Throws<InterpException>(() => run(half)).Reason);
                    continue;
                }
                using var scope = NewDisposeScope();
                // Scores of what may not be attended to are -infinity in both.
                var (expected, found) = (tensor(run(full)).nan_to_num(0, 0, 0), tensor(run(half)).nan_to_num(0, 0, 0));
                var distance = (found - expected).norm().item<double>() / expected.norm().item<double>();
                if (!(distance < tolerance)) far.Add($"{kind}, {way}: {distance:G3} of the whole");
            }
        }
        Assert.Empty(far);
    }

    [Fact]
    public void Activations_are_of_the_type_and_what_is_computed_from_logits_is_float32()
    {
        using var full = TinyModels.Make("llama", ScalarType.Float32);
        using var half = In(full, ScalarType.BFloat16);
        using var run = PlanRunner.Run(half, new Plan
        {
            Rows = [new([5, 9, 17])], Outputs = new Outputs { Logits = LogitsWanted.All, LossPerToken = true }, Captures = [new Capture("*")],
            Objective = new Objective { Metric = new LogProb([3]) },
        });
        Assert.Equal((ScalarType.BFloat16, ScalarType.Float32, ScalarType.Float32), (run.Logits!.dtype, run.LossPerToken!.dtype, run.Metric!.dtype));
        Assert.All(run.Captures, c => Assert.Equal(c.Key.EndsWith("hook_scale", StringComparison.Ordinal) ? ScalarType.Float32 : ScalarType.BFloat16, c.Value.dtype));
    }

    [Theory, InlineData("gpt2"), InlineData("llama")]
    public void Weights_are_processed_in_float32_and_rounded_once(string kind)
    {
        using var raw = TinyModels.Make(kind, ScalarType.Float32);
        using var full = In(raw, ScalarType.Float32, ProcessingOptions.Default);
        using var half = In(raw, ScalarType.Float16, ProcessingOptions.Default);
        using var scope = NewDisposeScope();
        foreach (var name in full.StateDict.Names)
        {
            Assert.Equal(ScalarType.Float16, half.StateDict[name].dtype);
            Assert.True(full.StateDict[name].to(ScalarType.Float16).equal(half.StateDict[name]).all().item<bool>(), name);
        }
        Assert.True(half.Weights.Blocks[0].Attention.Qkv.t().is_contiguous(), "the memory layout changed");
    }

    [Theory, InlineData("bfloat16"), InlineData("float16")]
    public void A_cpu_refuses_them_and_says_why(string name)
    {
        ComputeTypes.AllowHalfOnCpu = false;
        var error = Assert.Throws<InterpException>(() =>
            HookedTransformer.FromPretrained("induction", new LoadOptions { DataType = ComputeTypes.Of(name) }));
        Assert.Equal((ErrorCode.InvalidArgument, "DTYPE_NOT_COMPUTED"), (error.Code, error.Reason));
        Assert.Contains("fifty times slower", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_type_of_no_name_has_a_nearest()
    {
        var error = Assert.Throws<InterpException>(() => ComputeTypes.Of("bfloat"));
        Assert.Equal("UNKNOWN_DTYPE", error.Reason);
        Assert.Contains("'bfloat16'", error.Message, StringComparison.Ordinal);
    }

    // Few layers: random ones blow rounding up.
    private static TransformerConfig Small(TransformerConfig config) => config with { LayerCount = 2 };

    private static TransformerModel In(TransformerModel model, ScalarType type, ProcessingOptions? processing = null)
    {
        using var scope = NewDisposeScope();
        return ModelLoader.FromStateDict(model.Config, model.StateDict.Names.ToDictionary(n => n, n => model.StateDict[n]),
            new LoadOptions { DataType = type, Processing = processing ?? ProcessingOptions.None });
    }
}
