using InteropInterp.Models;
using InteropInterp.Models.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Circuits;

/// <summary>
/// A circuit built by hand. Rows are two bits and a question; two heads carry a bit each to the question, and an MLP makes of them
/// the logit of token 1: a gate of relu(A + B - 1), A + B and, for the backup, relu(B - A).
/// </summary>
internal static class GateModel
{
    private const int Width = 8, IsOne = 0, IsFirst = 1, IsSecond = 2, IsQuestion = 3, A = 4, B = 5, Out = 6;

    public static readonly string[] Gates = ["and", "or", "xor", "backup"];

    /// <summary>The tokens of a row.</summary>
    public static int[] Row(int a, int b) => [a, b, 2];

    public static TransformerModel Make(string gate)
    {
        Native.LibTorch.Load();
        var config = new TransformerConfig
        {
            LayerCount = 1, ModelWidth = Width, HeadWidth = 1, HeadCount = 2, MlpWidth = 4, ContextLength = 3, VocabularySize = 3,
                Activation = "relu",
            Normalization = null, AttentionScale = 1,
        }.Complete();
        using var scope = NewDisposeScope();
        var weights = WeightNames.All(config).ToDictionary(n => n.Name, n => zeros(n.Shape, ScalarType.Float64));
        void Set(string name, double value, params long[] at)
        {
            using var scalar = value.ToScalar();
            weights[name][[.. at.Select(i => TensorIndex.Single(i))]].fill_(scalar);
        }
        Set("embed.W_E", 1, 1, IsOne);
        Set("embed.W_E", 1, 2, IsQuestion);
        Set("pos_embed.W_pos", 1, 0, IsFirst);
        Set("pos_embed.W_pos", 1, 1, IsSecond);
        // The backup reads the first bit as the primary does.
        foreach (var (head, reads, writes) in new[] { (0, IsFirst, A), (1, gate == "backup" ? IsFirst : IsSecond, B) })
        {
            // Of two attended to with scores 60 apart the second has a share of 1e-26.
            Set("blocks.0.attn.W_Q", 60, head, IsQuestion, 0);
            Set("blocks.0.attn.W_K", 1, head, reads, 0);
            Set("blocks.0.attn.W_V", 1, head, IsOne, 0);
            Set("blocks.0.attn.W_O", 1, head, 0, writes);
        }
        // Neurons: both, either, primary, backup alone.
        foreach (var (neuron, a, b, bias) in new[] { (0, 1, 1, -1), (1, 1, 1, 0), (2, 1, 0, 0), (3, -1, 1, 0) })
        {
            Set("blocks.0.mlp.W_in", a, A, neuron);
            Set("blocks.0.mlp.W_in", b, B, neuron);
            Set("blocks.0.mlp.b_in", bias, neuron);
        }
        double[] output = gate switch { "and" => [1, 0, 0, 0], "or" => [-1, 1, 0, 0], "xor" => [-2, 1, 0, 0], _ => [0, 0, 1, 0.7] };
        for (var neuron = 0; neuron < 4; neuron++) Set("blocks.0.mlp.W_out", output[neuron], neuron, Out);
        Set("unembed.W_U", 1, Out, 1);
        return ModelLoader.FromStateDict(config, weights,
            new LoadOptions { Processing = ProcessingOptions.None, DataType = ScalarType.Float64 });
    }
}
