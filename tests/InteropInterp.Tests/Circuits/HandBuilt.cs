using InteropInterp.Models;
using InteropInterp.Models.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Circuits;

/// <summary>Models whose every weight is chosen, in float64; biases are zero.</summary>
internal static class HandBuilt
{
    /// <param name="weight">Given a TransformerLens name and its shape.</param>
    public static TransformerModel Model(TransformerConfig config, Func<string, long[], Tensor> weight)
    {
        InteropInterp.Native.LibTorch.Load();
        using var scope = NewDisposeScope();
        config = config.Complete();
        var weights = WeightNames.All(config).Where(n => !WeightNames.IsBias(n.Name))
            .ToDictionary(n => n.Name, n => weight(n.Name, n.Shape).to(ScalarType.Float64));
        return ModelLoader.FromStateDict(config, weights, new LoadOptions { Processing = ProcessingOptions.None, DataType = ScalarType.Float64 });
    }
}
