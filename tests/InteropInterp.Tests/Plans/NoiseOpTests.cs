using InteropInterp.Models;
using InteropInterp.Models.Weights;
using InteropInterp.Native.Operators;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using InteropInterp.Plans.Interventions;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Plans;

public class NoiseOpTests
{
    private static TransformerModel Model() => ModelLoader.Random(
        new TransformerConfig
        {
            LayerCount = 2, ModelWidth = 256, HeadWidth = 32, ContextLength = 12, VocabularySize = 60, Activation = "gelu_new", InitializerRange = 0.3, Seed = 1,
        },
        new LoadOptions { Processing = ProcessingOptions.None });

    private static Tensor Noise(
        TransformerModel model, IReadOnlyList<Row> rows, NoiseOp op, Selector? where = null, string point = "hook_embed", ulong seed = 0, ExecutionOptions? options = null)
    {
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = rows, Seed = seed, Captures = [new Capture(point) { Before = true }, new Capture(point) { Name = "after" }],
            Interventions = [new Intervention(point, op) { Where = where ?? Selector.All }],
        }, options);
        using var scope = NewDisposeScope();
        return (run["after"] - run[run.Captures.Keys.First(k => k != "after")]).MoveToOuterDisposeScope();
    }

    private static readonly IReadOnlyList<Row> Rows = Row.From([[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12], [13, 14, 15, 16, 17, 18]]);

    [Fact]
    public void Noise_is_normal_with_three_standard_deviations_of_the_embedding_and_stays_where_it_belongs()
    {
        using var model = Model();
        using var scope = NewDisposeScope();
        var noise = Noise(model, Rows, new NoiseOp(3), new Selector { Positions = Positions.At(1, -2) });
        var touched = noise.index_select(1, tensor(new long[] { 1, 4 })).to(ScalarType.Float64);
        var sigma = 3 * model.Weights.Embed.to(ScalarType.Float64).std(unbiased: false).item<double>();
        // 1536 draws: the mean within three standard errors, and so are the spread and the kurtosis.
        Assert.InRange(touched.mean().item<double>() / sigma, -3 / Math.Sqrt(1536), 3 / Math.Sqrt(1536));
        Assert.InRange(touched.std().item<double>() / sigma, 0.94, 1.06);
        using var four = 4.ToScalar();
        Assert.InRange(touched.pow(four).mean().item<double>() / Math.Pow(sigma, 4), 2.5, 3.5);
        Assert.Equal(0, noise.index_select(1, tensor(new long[] { 0, 2, 3, 5 })).abs().max().item<float>());
    }

    [Fact]
    public void Draws_depend_on_the_seed_the_row_and_the_point_and_not_on_the_batch()
    {
        using var model = Model();
        using var scope = NewDisposeScope();
        Tensor Of(IReadOnlyList<Row> rows, ulong? own = null, ulong seed = 0, string point = "hook_embed", ExecutionOptions? options = null) =>
            Noise(model, rows, new NoiseOp(1, OfEmbeddings: false) { Seed = own }, new Selector { Positions = Positions.At(2, 3) }, point, seed, options).narrow(1, 2, 2);
        var noise = Of(Rows);
        void Same(Tensor other) => Assert.InRange(Golden.Distance(noise, other), 0, 1e-6);
        void Differs(Tensor other) => Assert.InRange(Golden.Distance(noise, other), 1, 20);
        Same(Of(Rows));
        Same(Of(Rows, options: new ExecutionOptions { BatchBudget = 1 }));
        Same(Of(Rows, own: 0, seed: 9));
        Differs(Of(Rows, seed: 9));
        Differs(Of(Rows, own: 9));
        Differs(Of(Rows, point: "blocks.1.hook_resid_pre"));
        Assert.InRange(Golden.Distance(noise[0], noise[1]), 1, 20);
        Assert.InRange(Golden.Distance(noise.narrow(0, 0, 1), Of([Rows[0]])), 0, 1e-6);
    }
}
