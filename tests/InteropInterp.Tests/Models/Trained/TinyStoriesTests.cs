using System.Text.Json.Nodes;
using InteropInterp.Generation;
using InteropInterp.Plans;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Models.Trained;

/// <summary>Model 01: a small Llama that writes English, in Hugging Face's layout.</summary>
public class TinyStoriesTests
{
    [Fact]
    public void It_tokenizes_predicts_and_writes_as_its_golden_says()
    {
        var folder = SharedFolder.Path("models", "01_tinystories656k_llama");
        var golden = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "derived", "golden.json")))!;
        using var model = HookedTransformer.FromPretrainedNoProcessing(folder);
        var rows = model.ToRows((string)golden["prompt"]!);
        Assert.Equal(golden["prompt_ids"]!.AsArray().Select(n => (int)n!), rows[0].Tokens);

        using var run = model.Run(new Plan { Rows = rows, Outputs = new Outputs { Logits = LogitsWanted.Last } });
        using var scope = NewDisposeScope();
        var logits = run.Logits![0, 0].data<float>().ToArray();
        Assert.Equal(313, Array.IndexOf(logits, logits.Max()));
        Assert.Equal(17.380813, logits[313], 1e-4);
        foreach (var pair in golden["logits_last_top5"]!.AsArray()) Assert.Equal((double)pair![1]!, logits[(int)pair[0]!], 1e-4);
        var first = golden["logits_last_first16"]!.AsArray();
        for (var i = 0; i < first.Count; i++) Assert.Equal((double)first[i]!, logits[i], 1e-4);

        var expected = golden["greedy_ids"]!.AsArray().Select(n => (int)n!).ToList();
        using var written = model.Run(new Plan
        {
            Rows = rows,
            Generation = new GenerationOptions { MaxNewTokens = expected.Count - rows[0].Length, Sample = false },
        });
        Assert.Equal(expected, written.Tokens![0]);
    }
}
