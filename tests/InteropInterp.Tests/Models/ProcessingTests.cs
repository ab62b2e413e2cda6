using InteropInterp.Models;
using InteropInterp.Models.Weights;
using InteropInterp.Plans;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Models;

/// <summary>Processing changes weights, never log-probabilities; loading never holds a model twice.</summary>
public class ProcessingTests
{
    private static readonly Row[] Rows = [new([3, 1, 4, 1, 5])];

    public static TheoryData<string, string> Cases
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (var kind in (string[])[.. TinyModels.Kinds, "solu_ln", "gated_ln", "shortformer"])
                foreach (var step in new[] { "fold_ln", "center_writing_weights", "center_unembed", "fold_value_biases", "all" }) data.Add(kind, step);
            return data;
        }
    }

    private static TransformerModel Make(string kind) => kind switch
    {
        "solu_ln" => TinyModels.Make("gpt2", change: c => c with { Activation = "solu_ln" }),
        "gated_ln" => TinyModels.Make("gpt2", change: c => c with { GatedMlp = true, Activation = "silu" }),
        "shortformer" => TinyModels.Make("gpt2", change: c => c with { PositionalEmbedding = "shortformer" }),
        _ => TinyModels.Make(kind),
    };

    [Theory, MemberData(nameof(Cases))]
    public void Each_step_keeps_the_function(string kind, string step)
    {
        using var raw = Make(kind);
        using var scope = NewDisposeScope();
        var state = raw.StateDict.Names.ToDictionary(n => n, n => raw.StateDict[n]);
        var processing = new ProcessingOptions
        {
            FoldLayerNorm = step is "fold_ln" or "all",
            CenterWritingWeights = step is "center_writing_weights" or "all",
            CenterUnembed = step is "center_unembed" or "all",
            FoldValueBiases = step is "fold_value_biases" or "all",
        };
        using var processed = ModelLoader.FromStateDict(raw.Config, state, new LoadOptions { Processing = processing, DataType = ScalarType.Float64 });
        using var a = PlanRunner.Run(raw, new Plan { Rows = Rows, Outputs = Outputs.AllLogits });
        using var b = PlanRunner.Run(processed, new Plan { Rows = Rows, Outputs = Outputs.AllLogits });
        Assert.Equal(0, Golden.Distance(a.Logits!.log_softmax(-1), b.Logits!.log_softmax(-1)), 1e-9);
        var applies = processing.For(raw.Config);
        var names = processed.StateDict.Names.ToHashSet();
        Assert.Equal(applies.FoldLayerNorm && raw.Config.HasNormWeights, raw.StateDict.Names.Any(n => n.Contains(".ln1.")) && !names.Any(n => n.Contains(".ln1.")));
        if (applies.CenterWritingWeights) Assert.Equal(0, processed.StateDict["blocks.0.attn.W_O"].mean([-1]).abs().max().item<double>(), 1e-12);
        if (applies.CenterUnembed) Assert.Equal(0, processed.StateDict["unembed.W_U"].mean([1]).abs().max().item<double>(), 1e-12);
        if (applies.FoldValueBiases) Assert.Equal(0, processed.StateDict[WeightNames.Projection("blocks.0.", "V", raw.Config).Bias].abs().max().item<double>());
        // The given tensors are copied, not changed.
        foreach (var (name, tensor) in state) Assert.Equal(0, Golden.Distance(raw.StateDict[name], tensor));
    }

    [Fact]
    public void Keys_shared_by_groups_equal_a_model_in_which_each_head_has_its_own()
    {
        using var grouped = TinyModels.Make("llama");
        using var scope = NewDisposeScope();
        var state = grouped.StateDict.Names.ToDictionary(
            n => n.Replace("._W", ".W").Replace("._b", ".b"),
            n => n.Contains("._") ? grouped.StateDict[n].repeat_interleave(2, 0) : grouped.StateDict[n]);
        using var own = ModelLoader.FromStateDict(grouped.Config with { KeyValueHeads = null }, state, new LoadOptions { Processing = ProcessingOptions.None, DataType = ScalarType.Float64 });
        using var a = PlanRunner.Run(grouped, new Plan { Rows = Rows, Outputs = Outputs.AllLogits });
        using var b = PlanRunner.Run(own, new Plan { Rows = Rows, Outputs = Outputs.AllLogits });
        Assert.Equal(0, Golden.Distance(a.Logits!, b.Logits!), 1e-9);
    }

    [Theory, InlineData(ScalarType.Float32), InlineData(ScalarType.BFloat16)]
    public void Loading_holds_at_most_1_2_times_the_weights(ScalarType stored)
    {
        // 200 MB in float32, most of it in the embeddings: the worst case for one tensor at a time.
        var config = new TransformerConfig { LayerCount = 4, ModelWidth = 512, HeadWidth = 64, ContextLength = 64, VocabularySize = 32_000, Activation = "gelu", InitializerRange = .02 };
        using var folder = new TemporaryFolder();
        long weights;
        using (var model = ModelLoader.Random(config))
        {
            weights = model.Weights.Bytes;
            using var scope = NewDisposeScope();
            InteropInterp.Tensors.SafeTensors.Save(folder.File("m.safetensors"), model.StateDict.Names.Select(n => KeyValuePair.Create(n, model.StateDict[n].to(stored))));
            File.WriteAllText(folder.File("m.config.json"), TransformerConfigJson.Write(model.Config));
        }
        var before = Anonymous();
        var peak = 0L;
        using var done = new CancellationTokenSource();
        var watcher = new Thread(() =>
        {
            while (!done.IsCancellationRequested) peak = Math.Max(peak, Anonymous());
        });
        watcher.Start();
        using var loaded = ModelLoader.Load(folder.File("m.safetensors"));
        done.Cancel();
        watcher.Join();
        Assert.Equal(weights, loaded.Weights.Bytes, weights / 100.0);
        Assert.True(peak - before <= 1.2 * weights, $"{(peak - before) / (double)weights:F2} times the weights");
    }

    // Memory that is not a file's, in bytes.
    private static long Anonymous() =>
        long.Parse(File.ReadLines("/proc/self/status").First(l => l.StartsWith("RssAnon", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1]) * 1024;
}
