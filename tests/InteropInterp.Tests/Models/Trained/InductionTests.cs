using System.Text.Json.Nodes;
using InteropInterp.Models;
using InteropInterp.Models.Weights;
using InteropInterp.Plans;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Models.Trained;

/// <summary>Model 04: an attention-only model with a previous-token head and induction heads.</summary>
public class InductionTests
{
    [Fact]
    public void Its_head_scores_and_logits_are_those_of_its_golden()
    {
        var weights = SharedFolder.Path("models", "04_induction_attn2L", "derived", "induction_head_infinite.safetensors");
        var golden = JsonNode.Parse(File.ReadAllText(Path.ChangeExtension(weights, ".golden.json")))!;
        using var model = ModelLoader.Load(weights, new LoadOptions { Processing = ProcessingOptions.None });
        var rows = golden["tokens"]!.AsArray().Select(r => (IReadOnlyList<int>)[.. r!.AsArray().Select(n => (int)n!)]).ToList();
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = Row.From(rows),
            Outputs = Outputs.AllLogits,
            Captures = [new Capture("blocks.*.attn.hook_pattern")],
        });
        using var scope = NewDisposeScope();
        for (var layer = 0; layer < 2; layer++)
            for (var head = 0; head < 4; head++)
            {
                var pattern = run[$"blocks.{layer}.attn.hook_pattern"].select(1, head);
                // Attention to the token before; and, in the repetition, to the one behind the same token's first occurrence.
                Assert.Equal((double)golden[$"prev_token_score_L{layer}"]![head]!, pattern.diagonal(-1, 1, 2).mean().item<float>(), 1e-5);
                Assert.Equal((double)golden[$"induction_score_L{layer}"]![head]!, pattern.diagonal(-41, 1, 2).narrow(-1, 1, 42).mean().item<float>(), 1e-5);
            }
        var expected = golden["logits_seq0_pos83"]!.AsArray().Select(n => (double)n!).ToArray();
        Assert.True(Golden.Distance(run.Logits![0, 83], tensor(expected)) <= 1e-4);
        var right = run.Logits.narrow(1, 0, 83).argmax(-1).eq(tensor(rows.SelectMany(r => r.Skip(1)).Select(t => (long)t).ToArray(), [rows.Count, 83])).to(float32);
        Assert.Equal((double)golden["acc_first_half"]!, right.narrow(1, 0, 41).mean().item<float>(), 1e-4);
        Assert.Equal((double)golden["acc_second_half"]!, right.narrow(1, 42, 41).mean().item<float>(), 1e-4);
    }
}
