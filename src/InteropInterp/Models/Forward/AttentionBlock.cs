using InteropInterp.Hooks;
using InteropInterp.Models.Weights;
using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Models.Forward;

/// <summary>Norm and attention of a block.</summary>
internal sealed class AttentionBlock(TransformerModel model, ModelFlags flags, IActivationHooks hooks, ITokenLayout layout)
{
    private readonly TransformerConfig config = model.Config;
    private readonly (Tensor Cos, Tensor Sin)? rotary = model.Rotary?.At(layout.Positions, layout.LongestPosition);
    private readonly (Tensor Cos, Tensor Sin)? queryRotary =
        layout.Queries is { } asking ? model.Rotary?.At(layout.Positions.index_select(1, asking), layout.LongestPosition) : null;

    private bool Ungroup => flags.UngroupGroupedQueryAttention && config.KeyHeads != config.HeadCount;

    /// <param name="residual">resid_pre [batch, pos, d_model].</param>
    /// <param name="positions">Shortformer's position embedding, added to what queries and keys read.</param>
    /// <returns>[batch, pos, d_model], before hook_attn_out.</returns>
    public Tensor Apply(Tensor residual, Tensor? positions, BlockWeights block, int layer)
    {
        var (q, k, v) = flags.UseSplitQkvInput || flags.UseAttnIn
            ? SplitQkv(residual, positions, block, layer)
            : FusedQkv(residual, positions, block, layer);
        if (Ungroup) (k, v) = (AttentionKernel.EachQueryHead(k, config.HeadCount, 2), AttentionKernel.EachQueryHead(v, config.HeadCount, 2));
        q = hooks.At(HookSite.Q, layer, q);
        k = hooks.At(HookSite.K, layer, k);
        v = hooks.At(HookSite.V, layer, v);
        if (rotary is var (cos, sin))
        {
            var (queryCos, querySin) = queryRotary ?? (cos, sin);
            q = hooks.At(HookSite.RotQ, layer, model.Rotary!.Rotate(q, queryCos, querySin));
            k = hooks.At(HookSite.RotK, layer, model.Rotary.Rotate(k, cos, sin));
        }
        return Output(hooks.At(HookSite.Z, layer, layout.Attend(q, k, v, layer, hooks)), block.Attention, layer);
    }

    private Tensor Output(Tensor z, AttentionWeights w, int layer)
    {
        if (!flags.UseAttnResult) return Linear.Apply(z.flatten(2), w.Output, w.OutputBias);
        // [batch, pos, head, d_head] · [head, d_head, d] -> [batch, pos, head, d], one product per head.
        var perHead = w.Output.view(config.ModelWidth, config.HeadCount, config.HeadWidth).permute(1, 2, 0);
        var result = hooks.At(HookSite.Result, layer, EachHead(z, perHead));
        var sum = result.sum(2);
        return w.OutputBias is null ? sum : sum.Plus(w.OutputBias);
    }

    private (Tensor Q, Tensor K, Tensor V) FusedQkv(Tensor residual, Tensor? positions, BlockWeights block, int layer)
    {
        var input = Normalize(residual, block, layer);
        var w = block.Attention;
        int h = config.HeadCount, k = config.KeyHeads, width = config.HeadWidth;
        if (positions is null && layout.Queries is null)
        {
            var fused = Heads(Linear.Apply(input, w.Qkv, w.QkvBias), h + 2 * k);
            return (fused.narrow(2, 0, h), fused.narrow(2, h, k), fused.narrow(2, h + k, k));
        }
        // Shortformer: values do not see positions.
        var positioned = positions is null ? input : input.Plus(positions);
        if (layout.Queries is { } asking) return (Project(positioned.index_select(1, asking), 0, h), Project(positioned, h, k), Project(input, h + k, k));
        var qk = Project(positioned, 0, h + k);
        return (qk.narrow(2, 0, h), qk.narrow(2, h, k), Project(input, h + k, k));

        Tensor Project(Tensor x, long first, int heads) => Heads(
            Linear.Apply(x, w.Qkv.narrow(0, first * width, (long)heads * width), w.QkvBias?.narrow(0, first * width, (long)heads * width)), heads);
    }

    // A residual stream per head, so that what one head's q, k or v reads can be edited alone.
    private (Tensor Q, Tensor K, Tensor V) SplitQkv(Tensor residual, Tensor? positions, BlockWeights block, int layer)
    {
        int h = config.HeadCount, k = Ungroup ? config.HeadCount : config.KeyHeads;
        Tensor q, key, v;
        if (flags.UseSplitQkvInput)
        {
            q = Normalize(hooks.At(HookSite.QInput, layer, PerHead(residual, h), isShared: true), block, layer);
            key = Normalize(hooks.At(HookSite.KInput, layer, PerHead(residual, k), isShared: true), block, layer);
            v = Normalize(hooks.At(HookSite.VInput, layer, PerHead(residual, k), isShared: true), block, layer);
        }
        else
        {
            q = key = v = Normalize(hooks.At(HookSite.AttnIn, layer, PerHead(residual, h), isShared: true), block, layer);
        }
        if (positions is not null) (q, key) = (q.Plus(positions.unsqueeze(2)), key.Plus(positions.unsqueeze(2)));
        var w = block.Attention;
        return (Project(q, 0, config.HeadCount), Project(key, config.HeadCount, config.KeyHeads),
            Project(v, config.HeadCount + config.KeyHeads, config.KeyHeads));

        // [batch, pos, heads, d] with [heads, d, d_head] -> [batch, pos, heads, d_head].
        Tensor Project(Tensor input, int first, int count)
        {
            var matrices = w.Qkv.view(-1, config.HeadWidth, config.ModelWidth).narrow(0, first, count).transpose(1, 2);
            var biases = w.QkvBias?.view(-1, config.HeadWidth).narrow(0, first, count);
            if (count != input.size(2))
            {
                // Ungrouped: each query head has an own input for the key head it shares.
                matrices = matrices.repeat_interleave(input.size(2) / count, 0);
                biases = biases?.repeat_interleave(input.size(2) / count, 0);
            }
            var product = EachHead(input, matrices);
            return biases is null ? product : product.Plus(biases);
        }
    }

    // Head by head: broadcast, the matrices would be written out anew for every position.
    private static Tensor EachHead(Tensor x, Tensor matrices)
    {
        var (batch, pos, heads) = (x.size(0), x.size(1), x.size(2));
        var product = x.permute(2, 0, 1, 3).reshape(heads, batch * pos, -1).bmm(matrices);
        return product.view(heads, batch, pos, -1).permute(1, 2, 0, 3).contiguous();
    }

    private static Tensor PerHead(Tensor residual, int heads) => residual.unsqueeze(2).expand(-1, -1, heads, -1);

    private Tensor Normalize(Tensor x, BlockWeights block, int layer) => config.HasNorm
        ? model.Norm.Apply(x, block.Ln1, hooks, HookSite.Ln1Scale, HookSite.Ln1Normalized, layer)
        : x;

    private Tensor Heads(Tensor x, int heads) => x.view(layout.Batch, -1, heads, config.HeadWidth);
}
