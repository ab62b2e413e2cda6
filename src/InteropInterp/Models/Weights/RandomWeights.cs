using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Models.Weights;

/// <summary>
/// Fresh weights for a config: every matrix from N(0, initializer_range²), biases zero, norms one (TransformerLens's
/// init_mode "gpt2"). The same seed gives the same weights.
/// </summary>
internal static class RandomWeights
{
    /// <returns>Tensors under TransformerLens names, owned by the caller.</returns>
    public static Dictionary<string, Tensor> Make(TransformerConfig config, long seed, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator((ulong)seed);
        using var deviation = config.InitializerRange.ToScalar();
        var result = new Dictionary<string, Tensor>();
        foreach (var (name, shape) in WeightNames.All(config))
        {
            var isNorm = name.EndsWith(".w", StringComparison.Ordinal);
            var tensor = name.Contains("W_", StringComparison.Ordinal)
                ? randn(shape, dtype, CPU, generator: generator).mul(deviation)
                : isNorm ? ones(shape, dtype, CPU) : zeros(shape, dtype, CPU);
            result[name] = tensor.DetachFromDisposeScope();
        }
        return result;
    }
}
