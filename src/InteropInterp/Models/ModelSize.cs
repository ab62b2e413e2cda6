using InteropInterp.Models.Weights;
using InteropInterp.Tensors;
using InteropInterp.Tensors.Gguf;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Models;

/// <summary>Bytes that a model's weights take once they are loaded, from headers and configs alone.</summary>
public static class ModelSize
{
    // What a tensor costs beside its elements, so that very many very small ones count too.
    private const double PerTensor = 512;

    /// <summary>Of files: every tensor they hold, in the compute type.</summary>
    public static double Of(ModelFiles files, ScalarType dtype)
    {
        using var source = files.Layout == ModelLayout.Gguf ? GgufFile.Open(files.WeightsPath) : SafeTensors.Open(files.WeightsPath);
        return source.Entries.Values.Sum(e => (double)e.Count) * dtype.ElementSize();
    }

    /// <summary>Of a config; counting ends once <paramref name="enough"/> is reached.</summary>
    public static double Of(TransformerConfig config, ScalarType dtype, double enough = double.PositiveInfinity)
    {
        var bytes = 0.0;
        foreach (var (_, shape) in WeightNames.All(config))
        {
            bytes += PerTensor + shape.Aggregate((double)dtype.ElementSize(), (product, size) => product * size);
            if (bytes > enough) break;
        }
        return bytes;
    }
}
