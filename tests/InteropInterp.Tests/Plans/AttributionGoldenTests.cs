using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using InteropInterp.Plans.Interventions;
using InteropInterp.Plans.Metrics;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Plans;

/// <summary>Gradients and frozen runs of a trained model, as TransformerLens computes them for attribution and path patching.</summary>
public class AttributionGoldenTests
{
    // The fixture's metric is 0 on the corrupted prompt and 1 on the clean one.
    private const double Span = 0.2413043975830078 + 3.268705368041992;

    private static Golden Golden() => new(SharedFolder.Path("fixtures", "analysis", "attribution.safetensors"));

    private static TransformerModel Model() => ModelLoader.Load(SharedFolder.Path("fixtures", "models", "gpt2_shakespeare"));

    private static RunResult Gradients(TransformerModel model, IEnumerable<int[]> rows, Metric metric, params string[] points) => PlanRunner.Run(model, new Plan
    {
        Rows = Row.From(rows), Objective = new Objective { Metric = metric }, Captures = [.. points.Select(p => new Capture(p) { Gradient = true, Name = p })],
    });

    [Fact]
    public void Gradients_of_a_metric_are_TransformerLenss()
    {
        using var golden = Golden();
        using var model = Model();
        // Of ln1.hook_normalized TransformerLens keeps the gradient of one of its three calls; ours is that of the activation.
        string[] points = [.. golden.Names.Where(n => n.StartsWith("grad/", StringComparison.Ordinal) && !n.Contains("ln1")).Select(n => n["grad/".Length..])];
        Assert.Equal(9, points.Length);
        using var run = Gradients(model, golden.Rows("corrupted_tokens"), new LogitDiff([881], [720]), points);
        using var scope = NewDisposeScope();
        using var span = Span.ToScalar();
        foreach (var point in points) golden.Near($"grad/{point}", run[point].div(span), 1e-4);
    }

    [Fact]
    public void Gradients_of_the_loss_are_TransformerLenss()
    {
        using var golden = Golden();
        using var model = Model();
        string[] points = ["blocks.1.hook_resid_post", "blocks.1.attn.hook_pattern", "blocks.0.hook_resid_pre"];
        using var run = Gradients(model, golden.Rows("clean_tokens"), new Loss(), points);
        foreach (var point in points) golden.Near($"incl_bwd/{point}_grad", run[point], 1e-4);
    }

    [Fact]
    public void Attributions_of_the_embeddings_are_TransformerLenss()
    {
        using var golden = Golden();
        using var model = Model();
        string[] points = ["hook_embed", "hook_pos_embed"];
        using var gradients = Gradients(model, golden.Rows("corrupted_tokens"), new LogitDiff([881], [720]), points);
        using var scope = NewDisposeScope();
        Tensor[] Values(string rows)
        {
            using var run = PlanRunner.Run(model, new Plan { Rows = Row.From(golden.Rows(rows)), Captures = [.. points.Select(p => new Capture(p))] });
            return [.. points.Select(p => run[p].alias())];
        }
        var (clean, corrupt) = (Values("clean_tokens"), Values("corrupted_tokens"));
        using var span = Span.ToScalar();
        for (var i = 0; i < 2; i++)
        {
            var found = ((clean[i] - corrupt[i]) * gradients[points[i]]).sum(-1).squeeze(0).div(span);
            Assert.InRange(TestKit.Golden.Distance(found, golden["layer_out"][i]), 0, 1e-4);
        }
    }

    [Theory]
    [InlineData(0, 0, 1, 1, "q"), InlineData(0, 1, 2, 0, "k"), InlineData(0, 2, 1, 3, "v"), InlineData(1, 0, 2, 2, "v"), InlineData(0, 3, 2, 3, "q"), InlineData(1, 2, 2, 1, "k")]
    public void What_a_receiver_reads_of_a_path_is_TransformerLenss(int senderLayer, int senderHead, int layer, int head, string component)
    {
        using var golden = Golden();
        using var model = Model();
        var receiver = $"blocks.{layer}.hook_resid_pre";
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = Row.From(golden.Rows("clean_tokens")),
            Sources = new Dictionary<string, Plan>
            {
                ["clean"] = new() { Rows = Row.From(golden.Rows("clean_tokens")) }, ["corrupt"] = new() { Rows = Row.From(golden.Rows("corrupted_tokens")) },
            },
            // All that lies between stays as it was, but for the sender.
            Interventions =
            [
                new Intervention("blocks.*.attn.hook_z", new PatchFromOp("clean")), new Intervention("blocks.*.hook_mlp_out", new PatchFromOp("clean")),
                new Intervention(new HookPoint(HookSite.Z, senderLayer).Name, new PatchFromOp("corrupt")) { Where = new Selector { Heads = Positions.At(senderHead) } },
            ],
            Captures = [new Capture(receiver) { Where = new Selector { Positions = Positions.At(-1) } }],
        });
        using var scope = NewDisposeScope();
        golden.Near($"path/L{senderLayer}H{senderHead}->L{layer}H{head}.{component}/receiver_input_last", run[receiver].squeeze(1), 1e-4);
    }
}
