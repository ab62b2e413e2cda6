using InteropInterp.Models;
using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Caches;

/// <summary>What biases write into the residual stream (TransformerLens's accumulated_bias).</summary>
public static class BiasAccumulation
{
    /// <summary>The sum of b_O, and of b_out, of all blocks before a layer.</summary>
    /// <param name="options">Its layer, and whether up to that layer's MLP.</param>
    /// <param name="includeMlp">Whether b_out counts; an attention-only model has none.</param>
    /// <returns>[d_model]; the caller owns it.</returns>
    public static Tensor AccumulatedBias(this TransformerModel model, StackOptions? options = null, bool includeMlp = true)
    {
        options ??= new StackOptions();
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var layer = options.ResolveLayer(model.Config);
        var sum = zeros(model.Config.ModelWidth, model.DataType, model.Device);
        for (var l = 0; l < layer; l++)
        {
            var block = model.Weights.Blocks[l];
            if (block.Attention.OutputBias is { } attention) sum.PlusInPlace(attention);
            if (includeMlp && block.Mlp?.OutBias is { } mlp) sum.PlusInPlace(mlp);
        }
        if (options.MlpInput && model.Weights.Blocks[layer].Attention.OutputBias is { } last) sum.PlusInPlace(last);
        return sum.DetachFromDisposeScope();
    }
}
