using System.Text.Json.Nodes;
using InteropInterp.Models;
using InteropInterp.Models.Weights;
using InteropInterp.Plans;
using InteropInterp.Plans.Interventions;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Models.Trained;

/// <summary>Model 05: a bidirectional classifier of bracket strings. Its authors mask padding with -1e5 in the scores: an intervention.</summary>
public class BracketTests
{
    private const int Start = 0, Pad = 1, End = 2, Open = 3, Close = 4;

    private static string Folder => SharedFolder.Path("models", "05_brackets_bert");

    private static int[] Tokens(string text, int width) =>
        [Start, .. text.Select(c => c == '(' ? Open : Close), End, .. Enumerable.Repeat(Pad, width - text.Length - 2)];

    // P(balanced) of each string: class 1 at position 0.
    private static double[] Balanced(TransformerModel model, IReadOnlyList<string> texts)
    {
        var width = texts.Max(t => t.Length) + 2;
        var rows = texts.Select(t => Tokens(t, width)).ToList();
        using var scope = NewDisposeScope();
        var padded = tensor(rows.SelectMany(r => r).Select(t => t == Pad ? 1f : 0f).ToArray(), [rows.Count, 1, 1, width]);
        // Region axes: rows, positions, heads, key positions.
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = Row.From(rows),
            Outputs = Outputs.AllLogits,
            Interventions = [new Intervention("blocks.*.attn.hook_attn_scores", new AddOp(padded, -1e5))],
        });
        return [.. run.Logits!.select(1, 0).softmax(-1).select(1, 1).data<float>().ToArray().Select(p => (double)p)];
    }

    [Fact]
    public void It_classifies_the_first_5000_strings_and_gives_its_golden_probabilities()
    {
        using var model = ModelLoader.Load(Path.Combine(Folder, "derived", "brackets.safetensors"), new LoadOptions { Processing = ProcessingOptions.None });
        var golden = JsonNode.Parse(File.ReadAllText(Path.Combine(Folder, "derived", "brackets.golden.json")))!;
        var strings = golden["strings"]!.AsArray().Select(s => (string)s!).ToList();
        var probabilities = Balanced(model, strings);
        for (var i = 0; i < strings.Count; i++) Assert.Equal((double)golden["p_balanced"]![i]!, probabilities[i], 2e-6);

        var data = JsonNode.Parse(File.ReadAllText(Path.Combine(Folder, "brackets_data.json")))!.AsArray().Take(5000).ToList();
        var said = Balanced(model, [.. data.Select(d => (string)d![0]!)]);
        Assert.Equal(5000, data.Where((d, i) => (bool)d![1]! == said[i] > 0.5).Count());
    }
}
