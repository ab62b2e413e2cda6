using System.Text.Json.Nodes;
using InteropInterp.Models;
using InteropInterp.Models.Weights;
using InteropInterp.Plans;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Models.Trained;

/// <summary>Model 03: addition modulo 113, grokked. Text form [a, b, 113], answer at the last position.</summary>
public class GrokkingTests
{
    private const int Modulus = 113;

    private static string Weights => SharedFolder.Path("models", "03_grok_C113_T_seed1", "derived", "C113_T_seed1.safetensors");

    [Fact]
    public void It_adds_all_pairs_and_its_loss_is_that_of_its_golden()
    {
        using var model = ModelLoader.Load(Weights, new LoadOptions { Processing = ProcessingOptions.None });
        var pairs = Enumerable.Range(0, Modulus * Modulus).Select(n => (A: n / Modulus, B: n % Modulus)).ToList();
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = Row.From(pairs.Select(p => (IReadOnlyList<int>)[p.A, p.B, Modulus])),
            Outputs = new Outputs { Logits = LogitsWanted.Last },
        });
        using var scope = NewDisposeScope();
        var logits = run.Logits!.squeeze(1).to(ScalarType.Float64);
        var answers = tensor(pairs.Select(p => (long)((p.A + p.B) % Modulus)).ToArray());
        Assert.True(logits.argmax(-1).eq(answers).all().item<bool>());
        var loss = logits.log_softmax(-1).gather(1, answers.unsqueeze(1)).mean().neg().item<double>();
        Assert.Equal(1.58516e-7, loss, 1e-11);

        var golden = JsonNode.Parse(File.ReadAllText(Path.ChangeExtension(Weights, ".golden.json")))!;
        var inputs = golden["inputs"]!.AsArray();
        for (var i = 0; i < inputs.Count; i++)
        {
            var row = (int)inputs[i]![0]! * Modulus + (int)inputs[i]![1]!;
            var expected = golden["logits_last"]![i]!.AsArray().Select(n => (double)n!).ToArray();
            Assert.True(Golden.Distance(logits[row], tensor(expected)) <= 1e-4);
        }
    }

    [Fact]
    public void Its_embedding_lives_on_the_golden_frequencies()
    {
        using var model = ModelLoader.Load(Weights, new LoadOptions { Processing = ProcessingOptions.None });
        using var scope = NewDisposeScope();
        // Power of each frequency over the 113 numbers, of all embedding dimensions together.
        var embedding = model.StateDict["embed.W_E"].narrow(0, 0, Modulus).to(ScalarType.Float64);
        var power = fft.rfft(embedding, dim: 0).abs().square().sum(1);
        var share = (power.narrow(0, 1, Modulus / 2) / power.narrow(0, 1, Modulus / 2).sum()).data<double>().ToArray();
        foreach (var (frequency, expected) in new[] { (16, .348644), (30, .314374), (56, .239812) }) Assert.Equal(expected, share[frequency - 1], 1e-3);
    }
}
