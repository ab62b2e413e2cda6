using InteropInterp.Hooks;
using InteropInterp.Models.Weights;
using InteropInterp.Native.Operators;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Models.Forward;

/// <summary>
/// LayerNorm and RMSNorm with their two hook points: the scale sqrt(mean(x²) + eps), and x / scale before weight and bias.
/// Fused where nobody looks inside. Of half types the norm is float32's, as in TransformerLens; what it gives is rounded.
/// </summary>
internal sealed class Normalization(bool rms, double epsilon)
{
    private readonly Scalar eps = epsilon.ToScalar();

    /// <param name="x">[..., width].</param>
    /// <returns>[..., width].</returns>
    public Tensor Apply(Tensor x, NormWeights? weights, IActivationHooks hooks, HookSite scaleSite, HookSite normalizedSite, int layer)
    {
        if (!hooks.Wants(scaleSite, layer) && !hooks.Wants(normalizedSite, layer)) return Fused(x, weights);
        var wide = x.Wide();
        var centered = rms ? wide : wide - wide.mean([-1], keepdim: true);
        var scale = hooks.At(scaleSite, layer, centered.square().mean([-1], keepdim: true).add(eps, Scalars.One).sqrt());
        var normalized = hooks.At(normalizedSite, layer, (centered / scale).to(x.dtype));
        if (weights is null) return normalized;
        var scaled = normalized * weights.Weight;
        return weights.Bias is null ? scaled : scaled.Plus(weights.Bias);
    }

    private Tensor Fused(Tensor x, NormWeights? weights)
    {
        if (!rms) return nn.functional.layer_norm(x, [x.size(-1)], weights?.Weight, weights?.Bias, epsilon);
        var wide = x.Wide();
        var normalized = (wide * wide.square().mean([-1], keepdim: true).add(eps, Scalars.One).rsqrt()).to(x.dtype);
        return weights is null ? normalized : normalized * weights.Weight;
    }
}
