using InteropInterp.Hooks;
using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Models.Forward;

/// <summary>Scores, pattern and weighted sum of one layer: fused where nobody looks at the pattern.</summary>
internal static class AttentionKernel
{
    /// <param name="q">[batch, heads, queries, d_head].</param>
    /// <param name="k">[batch, key heads, keys, d_head].</param>
    /// <param name="v">[batch, key heads, keys, d_head].</param>
    /// <param name="mask">[batch or 1, 1, queries, keys] booleans, true where attention is allowed; null: everywhere, or below the diagonal if <paramref name="causal"/>.</param>
    /// <returns>[batch, heads, queries, d_head].</returns>
    public static Tensor Apply(
        TransformerConfig config, Tensor q, Tensor k, Tensor v, Func<Tensor?> mask, bool causal, int layer, IActivationHooks hooks)
    {
        var looked = hooks.Wants(HookSite.AttnScores, layer) || hooks.Wants(HookSite.Pattern, layer);
        return looked || config.ScoresSoftCap > 0
            ? WithPattern(config, q, k, v, mask(), layer, hooks)
            : Ops.ScaledDotProductAttention(q, k, v, causal ? null : mask(), causal, 1 / config.ScoreDivisor(layer));
    }

    private static Tensor WithPattern(TransformerConfig config, Tensor q, Tensor k, Tensor v, Tensor? mask, int layer, IActivationHooks hooks)
    {
        var heads = q.size(1);
        (k, v) = (EachQueryHead(k, heads, 1), EachQueryHead(v, heads, 1));
        // [batch, head, query, key]: of long rows the largest tensors of all, so that nothing is written twice that need not be.
        var scores = q.DividedBy(config.ScoreDivisor(layer)).MatMul(k.transpose(-2, -1));
        if (config.ScoresSoftCap > 0) scores = ForwardPass.SoftCap(scores, config.ScoresSoftCap);
        if (mask is not null) scores = scores.masked_fill_(mask.logical_not(), Scalars.NegativeInfinity);
        scores = hooks.At(HookSite.AttnScores, layer, scores);
        // A query that may attend to nothing (padding, or an edit) gives 0/0; it attends to nothing.
        var pattern = scores.softmax(-1);
        if (mask?.size(0) > 1 || hooks.Wants(HookSite.AttnScores, layer))
            pattern = is_grad_enabled() ? pattern.nan_to_num(0.0) : pattern.nan_to_num_(0.0);
        return hooks.At(HookSite.Pattern, layer, pattern).MatMul(v);
    }

    /// <summary>Each key head once per query head that shares it.</summary>
    /// <param name="heads">Query heads.</param>
    public static Tensor EachQueryHead(Tensor x, long heads, int dimension)
    {
        var own = x.size(dimension);
        return own == heads ? x : x.repeat_interleave(heads / own, dimension);
    }
}
