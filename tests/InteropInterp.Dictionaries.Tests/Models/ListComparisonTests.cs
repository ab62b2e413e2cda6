using System.Text.Json;
using InteropInterp.Dictionaries.Captures;
using InteropInterp.Dictionaries.Evaluation;
using InteropInterp.Dictionaries.Interventions;
using InteropInterp.Dictionaries.Tests.Support;
using InteropInterp.Models;
using InteropInterp.Models.Weights;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using InteropInterp.Plans.Interventions;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Tests.Models;

/// <summary>
/// A trained two-layer model that compares lists, and a BatchTopK dictionary of dictionary_learning on its residual stream: the
/// authors' masks and zeroed pattern rows are interventions. All 10,000 inputs.
/// </summary>
public class ListComparisonTests
{
    private const string Hook = "blocks.0.hook_resid_post";

    private static readonly Selector AtSeparator = new() { Positions = Positions.At(2) };

    private static JsonElement Facts(string name) => JsonDocument.Parse(File.ReadAllText(Fixture.ListComparison(name))).RootElement;

    private static TransformerModel Model(ScalarType dtype) => ModelLoader.Load(
        Fixture.ListComparison("2layer_100dig_64d.safetensors"), new LoadOptions { Processing = ProcessingOptions.None, DataType = dtype });

    private static SparseDictionary Dictionary(ScalarType dtype) =>
        DictionaryLoader.Load(Fixture.ListComparison("sae_k3.safetensors"), new DictionaryOptions { DataType = dtype });

    [Theory]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.Float32)]
    public void Accuracy_clean_and_spliced_is_the_golden_one(ScalarType dtype)
    {
        using var model = Model(dtype);
        using var dictionary = Dictionary(dtype);
        using var masks = Masks();
        var facts = Facts("2layer_100dig_64d.golden.json");
        var (perToken, exact) = Accuracy(model, masks.Interventions);
        Assert.Equal(facts.GetProperty("per_token_accuracy").GetDouble(), perToken, 1e-9);
        Assert.Equal(facts.GetProperty("exact").GetDouble(), exact, 1e-9);

        var splice = new Intervention(Hook, new SpliceOp(dictionary)) { Where = AtSeparator };
        var patched = Facts("sae_k3.golden.json").GetProperty("patched_per_token_accuracy").GetDouble();
        Assert.Equal(patched, Accuracy(model, [.. masks.Interventions, splice]).PerToken, 1e-9);
    }

    [Fact]
    public void Logits_of_the_golden_inputs_are_the_independent_forward_passs()
    {
        using var model = Model(ScalarType.Float64);
        using var masks = Masks();
        var facts = Facts("2layer_100dig_64d.golden.json");
        var rows = Row.From(facts.GetProperty("inputs").EnumerateArray().Select(Ints));
        using var run = PlanRunner.Run(model, new Plan { Rows = rows, Interventions = masks.Interventions, Outputs = Outputs.AllLogits });
        using var scope = NewDisposeScope();
        var expected = tensor(Numbers(facts.GetProperty("logits")).ToArray());
        var last = run.Logits!.narrow(1, 3, 2);
        Assert.InRange(Golden.Distance(last, expected.view(last.shape)), 0, 1e-5);
    }

    [Theory]
    [InlineData(ScalarType.Float64, 1e-6)]
    [InlineData(ScalarType.Float32, 2e-4)]
    public void L0_explained_variance_and_error_are_the_golden_ones(ScalarType dtype, double tolerance)
    {
        using var model = Model(dtype);
        using var dictionary = Dictionary(dtype);
        using var masks = Masks();
        using var run = Activations(model, AllInputs(), masks, new Capture(Hook));
        var metrics = new ReconstructionMetrics();
        metrics.Add(dictionary, run[Hook]);
        var quality = metrics.Finish();
        var facts = Facts("sae_k3.golden.json");
        Assert.Equal(10_000, quality.Tokens);
        Assert.Equal(facts.GetProperty("mean_L0").GetDouble(), quality.L0, tolerance);
        Assert.Equal(facts.GetProperty("explained_variance").GetDouble(), quality.ExplainedVariance, tolerance);
        Assert.Equal(facts.GetProperty("mse").GetDouble(), quality.MeanSquaredErrorPerEntry, tolerance);
    }

    [Fact]
    public void Sparse_codes_of_the_golden_inputs_are_the_golden_features()
    {
        using var model = Model(ScalarType.Float64);
        using var dictionary = Dictionary(ScalarType.Float64);
        using var masks = Masks();
        var facts = Facts("sae_k3.golden.json");
        var rows = Row.From(facts.GetProperty("inputs").EnumerateArray().Select(Ints));
        using var run = Activations(model, rows, masks, new Capture(Hook) { Transform = new DictionaryCapture(dictionary) });
        using var scope = NewDisposeScope();
        using var codes = SparseCodes.Of(run[$"{Hook}.hook_sae_acts_post"]);
        var indices = facts.GetProperty("feature_indices").EnumerateArray().Select(Ints).ToList();
        Assert.Equal(indices.SelectMany(i => i).Select(i => (long)i), codes.Features.data<long>().ToArray());
        var pointers = indices.Select(i => i.Length).Aggregate(new List<long> { 0 }, (sums, n) => [.. sums, sums[^1] + n]);
        Assert.Equal(pointers, codes.RowPointers.data<long>().ToArray());
        Assert.InRange(Golden.Distance(codes.Values, tensor(Numbers(facts.GetProperty("feature_values")).ToArray())), 0, 1e-6);
    }

    private static RunResult Activations(TransformerModel model, IReadOnlyList<Row> rows, MaskInterventions masks, Capture capture) =>
        PlanRunner.Run(model, new Plan
        {
            Rows = rows,
            Interventions = [.. masks.Interventions.Where(i => i.Point.StartsWith("blocks.0", StringComparison.Ordinal))],
            StopAtLayer = 1,
            Captures = [capture with { Where = AtSeparator }],
        });

    // [d1, d2, SEP, MASK, MASK]: the model must repeat d1, d2 at the masks.
    private static IReadOnlyList<Row> AllInputs() =>
        Row.From(Enumerable.Range(0, 10_000).Select(i => (IReadOnlyList<int>)[i / 100, i % 100, 101, 100, 100]));

    private static (double PerToken, double Exact) Accuracy(TransformerModel model, IReadOnlyList<Intervention> interventions)
    {
        var rows = AllInputs();
        using var run = PlanRunner.Run(model, new Plan { Rows = rows, Interventions = interventions, Outputs = Outputs.AllLogits });
        using var scope = NewDisposeScope();
        var answers = run.Logits!.narrow(1, 3, 2).argmax(-1).data<long>().ToArray();
        int Right(int row, int position) => answers[2 * row + position] == rows[row].Tokens[position] ? 1 : 0;
        var right = rows.Select((_, i) => Right(i, 0) + Right(i, 1)).ToList();
        return (right.Sum() / (2.0 * rows.Count), right.Count(r => r == 2) / (double)rows.Count);
    }

    private static int[] Ints(JsonElement array) => [.. array.EnumerateArray().Select(e => e.GetInt32())];

    private sealed record MaskInterventions(IReadOnlyList<Intervention> Interventions, IReadOnlyList<Tensor> Tensors) : IDisposable
    {
        public void Dispose()
        {
            foreach (var tensor in Tensors) tensor.Dispose();
        }
    }

    private static MaskInterventions Masks()
    {
        var facts = Facts("2layer_100dig_64d.golden.json");
        var (first, rest) = (Mask(facts.GetProperty("mask_added_to_scores_L0")), Mask(facts.GetProperty("mask_added_to_scores_L1plus")));
        return new MaskInterventions(
            [
                new Intervention("blocks.0.attn.hook_attn_scores", new AddOp(first)),
                new Intervention("blocks.0.attn.hook_pattern", new ZeroOp()) { Where = new Selector { Positions = Positions.At(3, 4) } },
                new Intervention("blocks.1.attn.hook_attn_scores", new AddOp(rest)),
            ],
            [first, rest]);
    }

    // All numbers within arrays; "-inf" is one.
    private static IEnumerable<double> Numbers(JsonElement json) => json.ValueKind switch
    {
        JsonValueKind.Array => json.EnumerateArray().SelectMany(Numbers),
        JsonValueKind.String => [double.NegativeInfinity],
        _ => [json.GetDouble()],
    };

    // Region axes: [query, head, key].
    private static Tensor Mask(JsonElement rows)
    {
        using var scope = NewDisposeScope();
        return tensor(Numbers(rows).ToArray()).view(5, 1, 5).DetachFromDisposeScope();
    }
}
