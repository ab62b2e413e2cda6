using InteropInterp.Models;
using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Circuits.Weights;

/// <summary>What of a later head reads what an earlier one writes.</summary>
public enum Composition
{
    /// <summary>Its queries.</summary>
    Q,

    /// <summary>Its keys.</summary>
    K,

    /// <summary>Its values: a virtual head.</summary>
    V,
}

/// <summary>
/// How much a later head reads of an earlier one: ||W_OV X|| / (||W_OV|| ||X||), X being W_QK, W_QKᵀ or W_OV of the later head
/// (Elhage et al. 2021; TransformerLens's all_composition_scores). Compare with <see cref="CompositionBaseline"/>: unrelated
/// matrices do not score 0.
/// </summary>
public static class CompositionScores
{
    /// <returns>[earlier layer, head, later layer, head], 0 unless earlier; the caller owns it.</returns>
    public static Tensor All(TransformerModel model, Composition composition)
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var left = AttentionCircuits.OV(model);
        var right = composition switch
        {
            Composition.Q => AttentionCircuits.QK(model),
            Composition.K => AttentionCircuits.QK(model).T,
            _ => left,
        };
        var (writers, readers) = (left.RotatedLeft(), right.RotatedRight());
        long layers = writers.size(0), heads = writers.size(1), rank = writers.size(2), width = writers.size(3), columns = readers.size(3);
        var norms = left.Norm().unsqueeze(-1).unsqueeze(-1) * right.Norm();
        var scores = zeros_like(norms);
        // A product per earlier layer with all heads of all later ones: [head · k, d] [d, head · k].
        for (var l = 0; l < layers - 1; l++)
        {
            using var step = NewDisposeScope();
            var later = readers.narrow(0, l + 1, layers - l - 1).permute(2, 0, 1, 3).reshape(width, -1);
            var blocks = writers[l].reshape(-1, width).MatMul(later).view(heads, rank, layers - l - 1, heads, columns);
            scores[l].narrow(1, l + 1, layers - l - 1).copy_(blocks.square().sum([1, 4]).sqrt());
        }
        return (scores / norms).nan_to_num(0.0).DetachFromDisposeScope();
    }

    /// <summary>Of any two matrices: ||L R|| / (||L|| ||R||), leading axes broadcast.</summary>
    /// <returns>[...], in the current scope.</returns>
    public static Tensor Of(FactoredMatrix left, FactoredMatrix right)
    {
        var product = left.RotatedLeft().MatMul(right.RotatedRight()).square().sum([-2, -1]).sqrt();
        return product / (left.Norm() * right.Norm());
    }
}
