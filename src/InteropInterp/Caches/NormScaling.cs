using InteropInterp.Models;
using InteropInterp.Native.Operators;
using InteropInterp.Tensors;
using static TorchSharp.torch;

namespace InteropInterp.Caches;

/// <summary>
/// Parts of a stream as the norm that reads it scales their sum. Given the scale, a norm is linear: what it does to the parts
/// sums to what it does to the stream (TransformerLens's apply_ln_to_stack).
/// </summary>
public static class NormScaling
{
    /// <summary>Centred (LN) and divided by the scale of this run; the norm's weights are left out.</summary>
    /// <param name="stack">[components, batch, pos, d_model] at the positions of <paramref name="options"/>.</param>
    /// <returns>Of the same shape; the caller owns it.</returns>
    /// <exception cref="InterpException">STACK_SHAPE where its positions are others; NOT_CACHED.</exception>
    public static Tensor ApplyNorm(this ActivationCache cache, Tensor stack, StackOptions? options = null)
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        if (!cache.Model.Config.HasNorm) return stack.alias().DetachFromDisposeScope();
        var scale = cache.NormScale(options ?? new StackOptions());
        InterpException.Require(stack.dim() == scale.dim() + 1 && stack.size(-2) == scale.size(-2), "STACK_SHAPE",
            $"The stack is {stack.Shown()} and the scales are {scale.Shown()}: take the same positions of both.");
        var centred = cache.Model.Config.IsRms ? stack : stack - stack.mean([-1], keepdim: true);
        return (centred / scale).DetachFromDisposeScope();
    }

    internal static ResidualComponents Normalized(this ActivationCache cache, ResidualComponents stack, StackOptions options)
    {
        using (stack) return stack with { Values = cache.ApplyNorm(stack.Values, options) };
    }

    /// <summary>The scale [batch, pos, 1] of the norm that reads a stream, as cached, else from the cached stream.</summary>
    internal static Tensor NormScale(this ActivationCache cache, StackOptions options)
    {
        var config = cache.Model.Config;
        var layer = options.ResolveLayer(config);
        var name = layer == config.LayerCount ? "ln_final.hook_scale" : $"blocks.{layer}.{(options.MlpInput ? "ln2" : "ln1")}.hook_scale";
        // A norm that saw an input per head has a scale per head; that of the stream is meant.
        var isCached = cache.Contains(name) && cache[name].dim() == (cache.HasBatch ? 3 : 2);
        var scale = isCached ? cache[name] : ScaleOf(cache.Stream(layer, options.MlpInput), config);
        return cache.AtPositions(scale, options.Positions);
    }

    private static Tensor ScaleOf(Tensor stream, TransformerConfig config)
    {
        var centred = config.IsRms ? stream : stream - stream.mean([-1], keepdim: true);
        return centred.square().mean([-1], keepdim: true).Plus(config.Epsilon).sqrt();
    }
}
