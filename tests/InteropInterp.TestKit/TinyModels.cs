using InteropInterp.Models;
using InteropInterp.Models.Weights;
using TorchSharp;

namespace InteropInterp.TestKit;

/// <summary>Random models of a few thousand weights, one per shape of architecture, made in milliseconds.</summary>
public static class TinyModels
{
    public const int Vocabulary = 40;
    public const int Context = 24;

    /// <summary>gpt2: learned positions, LN. llama: grouped keys, rotary, RMS, gated. parallel: NeoX-like. attention: no MLP, no norm.</summary>
    public static readonly string[] Kinds = ["gpt2", "llama", "parallel", "attention"];

    public static TransformerConfig Config(string kind)
    {
        var basic = new TransformerConfig
        {
            LayerCount = 3, ModelWidth = 16, HeadWidth = 4, HeadCount = 4, ContextLength = Context, VocabularySize = Vocabulary, InitializerRange = 0.4,
            Activation = "gelu_new", Seed = 1,
        };
        return kind switch
        {
            "gpt2" => basic,
            "llama" => basic with
            {
                KeyValueHeads = 2, Activation = "silu", GatedMlp = true, Normalization = "RMS", PositionalEmbedding = "rotary", Seed = 2,
            },
            "parallel" => basic with { LayerCount = 2, Activation = "relu", ParallelBlocks = true, PositionalEmbedding = "rotary", RotaryWidth = 2, Seed = 3 },
            "attention" => basic with { LayerCount = 2, AttentionOnly = true, Activation = null, Normalization = null, Seed = 4 },
            _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, null),
        };
    }

    /// <summary>Random weights, biases and norms too, so that a forgotten one shows.</summary>
    public static TransformerModel Make(string kind, torch.ScalarType dtype = torch.ScalarType.Float64, Func<TransformerConfig, TransformerConfig>? change = null)
    {
        Native.LibTorch.Load();
        var config = (change is null ? Config(kind) : change(Config(kind))).Complete();
        using var scope = torch.NewDisposeScope();
        using var generator = new torch.Generator((ulong)(config.Seed ?? 0) + 100);
        var weights = WeightNames.All(config).ToDictionary(n => n.Name, n =>
        {
            var values = torch.randn(n.Shape, dtype, generator: generator);
            return n.Name.EndsWith(".w", StringComparison.Ordinal)
                ? values.mul(Native.Operators.Scalars.Half).add(Native.Operators.Scalars.One, Native.Operators.Scalars.One)
                : values.mul(Native.Operators.Scalars.Half);
        });
        return ModelLoader.FromStateDict(config, weights, new LoadOptions { Processing = ProcessingOptions.None, DataType = dtype });
    }
}
