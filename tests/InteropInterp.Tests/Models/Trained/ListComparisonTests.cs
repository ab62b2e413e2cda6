using System.Text.Json.Nodes;
using InteropInterp.Models;
using InteropInterp.Models.Weights;
using InteropInterp.Plans;
using InteropInterp.Plans.Interventions;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Models.Trained;

/// <summary>Model 06: list comparison, under its authors' own masks, which are interventions here.</summary>
public class ListComparisonTests
{
    [Fact]
    public void Under_its_masks_it_is_as_accurate_as_its_golden_says()
    {
        var weights = SharedFolder.Path("models", "06_listcomp_attn2L_sae", "derived", "2layer_100dig_64d.safetensors");
        var golden = JsonNode.Parse(File.ReadAllText(Path.ChangeExtension(weights, ".golden.json")))!;
        using var model = ModelLoader.Load(weights, new LoadOptions { Processing = ProcessingOptions.None });
        using var scope = NewDisposeScope();
        Tensor Mask(string name) => tensor(
            golden[name]!.AsArray().SelectMany(r => r!.AsArray()).Select(n => n!.GetValueKind() == System.Text.Json.JsonValueKind.String ? float.NegativeInfinity : 0f).ToArray(),
            [1, 5, 1, 5]);
        var pairs = Enumerable.Range(0, 10_000).Select(n => (n / 100, n % 100)).ToList();
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = Row.From(pairs.Select(p => (IReadOnlyList<int>)[p.Item1, p.Item2, 101, 100, 100])),
            Outputs = Outputs.AllLogits,
            Interventions =
            [
                new("blocks.0.attn.hook_attn_scores", new AddOp(Mask("mask_added_to_scores_L0"))),
                new("blocks.1.attn.hook_attn_scores", new AddOp(Mask("mask_added_to_scores_L1plus"))),
                new("blocks.0.attn.hook_pattern", new ZeroOp()) { Where = new Selector { Positions = Positions.At(3, 4) } },
            ],
        });
        var said = run.Logits!.narrow(1, 3, 2).argmax(-1);
        var right = said.eq(tensor(pairs.SelectMany(p => new long[] { p.Item1, p.Item2 }).ToArray(), [10_000, 2])).to(float64);
        Assert.Equal(.95495, right.mean().item<double>(), 1e-9);
        Assert.Equal(.9118, right.prod(1).mean().item<double>(), 1e-9);
        var inputs = golden["inputs"]!.AsArray();
        for (var i = 0; i < inputs.Count; i++)
        {
            var row = (int)inputs[i]![0]! * 100 + (int)inputs[i]![1]!;
            var expected = golden["logits"]![i]!.AsArray().SelectMany(r => r!.AsArray()).Select(n => (double)n!).ToArray();
            Assert.True(Golden.Distance(run.Logits[row].narrow(0, 3, 2).flatten(), tensor(expected)) <= 2e-4);
        }
    }
}
