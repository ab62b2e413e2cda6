using InteropInterp.Caches;
using InteropInterp.Models;
using InteropInterp.Native.Operators;
using InteropInterp.Plans;
using InteropInterp.Tokens;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Caches;

/// <summary>What must hold of every architecture by construction, in float64: parts sum to the whole.</summary>
public class ResidualIdentityTests
{
    private const double Exact = 1e-11;

    private static readonly Row[] Rows = [new([3, 1, 4, 1, 5, 9, 2]), new([6, 5, 3])];

    public static TheoryData<string> Kinds => [.. TinyModels.Kinds];

    private static void With(string kind, PaddingSide padding, Action<ActivationCache, Tensor> check)
    {
        using var model = TinyModels.Make(kind);
        var plan = new Plan { Rows = Rows, PaddingSide = padding, Outputs = Outputs.AllLogits, Captures = [new Capture("*")] };
        using var run = PlanRunner.Run(model, plan);
        using var cache = ActivationCache.Of(model, plan, run);
        using var scope = NewDisposeScope();
        check(cache, run.Logits!);
    }

    private static Tensor Total(ResidualComponents parts)
    {
        using (parts) return parts.Values.sum([0]);
    }

    private static void Near(Tensor expected, Tensor actual)
    {
        Assert.Equal(expected.shape, actual.shape);
        Assert.InRange(Golden.Distance(actual, expected), 0, Exact);
    }

    [Theory, MemberData(nameof(Kinds))]
    public void Decompositions_sum_to_the_stream_at_every_layer(string kind) => With(kind, PaddingSide.Right, (cache, _) =>
    {
        var config = cache.Model.Config;
        for (var layer = 0; layer <= config.LayerCount; layer++)
            foreach (var mlpInput in layer < config.LayerCount && config is { HasMlp: true, ParallelBlocks: false } ? new[] { false, true } : [false])
            {
                var options = new StackOptions { Layer = layer, MlpInput = mlpInput };
                var stream = mlpInput ? cache["resid_mid", layer] : layer == config.LayerCount ? cache["resid_post", layer - 1] : cache["resid_pre", layer];
                Near(stream, Total(cache.DecomposeResidual(options)));
                Near(stream, Total(cache.FullResidualDecomposition(options)));
                Near(stream, Total(cache.FullResidualDecomposition(options, expandNeurons: false)));
                Near(stream, Total(cache.StackHeadResults(options, includeRemainder: true)));
                if (config.HasMlp && layer > 0) Near(stream, Total(cache.StackNeuronResults(options, includeRemainder: true)));
            }
    });

    [Theory, MemberData(nameof(Kinds))]
    public void Through_the_norm_they_sum_to_what_the_norm_gives(string kind) => With(kind, PaddingSide.Right, (cache, _) =>
    {
        if (!cache.Model.Config.HasNorm) return;
        Near(cache["ln_final.hook_normalized"], Total(cache.FullResidualDecomposition(new() { ApplyNorm = true })));
        Near(cache["blocks.1.ln1.hook_normalized"], Total(cache.DecomposeResidual(new() { Layer = 1, ApplyNorm = true })));
    });

    [Theory, MemberData(nameof(Kinds))]
    public void Directions_give_the_same_before_and_after_stacking(string kind) => With(kind, PaddingSide.Right, (cache, _) =>
    {
        var options = new StackOptions { ApplyNorm = true, Positions = Positions.At(0, -1) };
        using var whole = cache.FullResidualDecomposition(options);
        using var heads = cache.StackHeadResults(options, includeRemainder: true);
        foreach (var directions in new[] { randn([16], ScalarType.Float64), randn([16, 3], ScalarType.Float64) })
        {
            using var projected = cache.FullResidualDecomposition(options, projectOnto: directions);
            Assert.Equal(whole.Labels, projected.Labels);
            Near(whole.Values.MatMul(directions), projected.Values);
            using var projectedHeads = cache.StackHeadResults(options, true, directions);
            Near(heads.Values.MatMul(directions), projectedHeads.Values);
        }
    });

    [Theory, MemberData(nameof(Kinds))]
    public void Logit_attributions_sum_to_logits_less_their_constants(string kind) => With(kind, PaddingSide.Right, (cache, logits) =>
    {
        using var stack = cache.FullResidualDecomposition();
        var tokens = tensor(new[] { 7L, 30L });
        using var attributions = cache.LogitAttributions(stack.Values, tokens);
        var weights = cache.Model.Weights;
        var constant = weights.UnembedBias is { } bias ? bias : zeros(TinyModels.Vocabulary, ScalarType.Float64);
        if (weights.FinalNorm?.Bias is { } shift) constant = constant.Plus(weights.Unembed.mv(shift));
        var expected = logits - constant;
        foreach (var row in new[] { 0, 1 }) Near(expected[row].select(-1, tokens[row].item<long>()), attributions.sum([0])[row]);
        using var difference = cache.LogitAttributions(stack.Values, tokens, tensor(new[] { 8L, 9L }));
        Near((expected[1].select(-1, 30) - expected[1].select(-1, 9)), difference.sum([0])[1]);
    });

    [Fact]
    public void Positions_count_each_rows_own_tokens_whichever_side_is_padded()
    {
        var values = new List<float[]>();
        foreach (var side in new[] { PaddingSide.Left, PaddingSide.Right })
            With("gpt2", side, (cache, logits) =>
            {
                Assert.Equal([7, 3], cache.Spans!.Select(s => s.Length));
                using var last = cache.DecomposeResidual(new() { Positions = Positions.At(-1), ApplyNorm = true });
                using var raw = cache.DecomposeResidual(new() { Positions = Positions.At(-1) });
                using var attributions = cache.LogitAttributions(raw.Values, tensor(5L), positions: Positions.At(-1));
                values.Add([.. last.Values.to(ScalarType.Float32).data<float>().ToArray(), .. attributions.to(ScalarType.Float32).data<float>().ToArray()]);
                var row = side == PaddingSide.Left ? 6 : 2;
                Near(cache["ln_final.hook_normalized"][1, row], last.Values.sum([0])[1, 0]);
                var ragged = Assert.Throws<InterpException>(() => cache.DecomposeResidual(new() { Positions = Positions.Slice(1) }));
                Assert.Equal("POSITIONS_RAGGED", ragged.Reason);
            });
        Assert.Equal(values[0].Length, values[1].Length);
        for (var i = 0; i < values[0].Length; i++) Assert.Equal(values[0][i], values[1][i], 1e-6f);
    }
}
