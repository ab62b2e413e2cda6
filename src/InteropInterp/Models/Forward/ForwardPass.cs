using InteropInterp.Hooks;
using InteropInterp.Models.Weights;
using InteropInterp.Native.Devices;
using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Models.Forward;

/// <summary>
/// The one forward pass, for every architecture. Nothing hooked: one matrix product for q, k, v, one for gate and linear part,
/// attention without a pattern. A hook point somebody wants takes the way on which its value exists, there and nowhere else.
/// </summary>
/// <remarks>Numerics: TransformerLens 3.9 (reference: components/*.py), Hugging Face where the two differ.</remarks>
internal sealed class ForwardPass(TransformerModel model, ModelFlags flags, IActivationHooks hooks, ITokenLayout layout)
{
    private readonly TransformerConfig config = model.Config;
    private readonly ModelWeights weights = model.Weights;
    private readonly AttentionBlock attention = new(model, flags, hooks, layout);
    private readonly MlpBlock mlp = new(model, hooks);
    private Tensor? shortformerPositions;

    /// <summary>The embedding of tokens, with positions where they are added to the residual stream.</summary>
    /// <param name="tokens">[batch, pos] int64.</param>
    /// <returns>[batch, pos, d_model].</returns>
    public Tensor Embed(Tensor tokens)
    {
        tokens = hooks.At(HookSite.Tokens, -1, tokens, isShared: true);
        var embedded = weights.Embed.index_select(0, tokens.flatten()).view(layout.Batch, layout.Length, config.ModelWidth);
        embedded = hooks.At(HookSite.Embed, -1, embedded);
        if (!config.HasPositionTable) return embedded;
        var positions = PositionEmbedding();
        if (!config.IsShortformer) return embedded.Plus(positions);
        shortformerPositions = positions;
        return embedded;
    }

    /// <summary>Blocks from <paramref name="first"/> up to but not including <paramref name="end"/>.</summary>
    /// <param name="residual">[batch, pos, d_model].</param>
    public Tensor Blocks(Tensor residual, int first, int end)
    {
        // Made here, where it outlives the layers' scopes.
        if (config.IsShortformer) shortformerPositions ??= PositionEmbedding();
        Tensor? previous = null;
        for (var layer = first; layer < end; layer++)
        {
            Interrupts.Check();
            // A layer's temporaries go with it; what hooks keep, they keep themselves.
            using var scope = NewDisposeScope();
            residual = Block(residual, layer).MoveToOuterDisposeScope();
            if (!ReferenceEquals(previous, residual)) previous?.Dispose();
            previous = residual;
        }
        layout.Finish();
        return residual;
    }

    /// <summary>What attention of a block writes, before hook_attn_out.</summary>
    public Tensor Attention(Tensor residual, int layer)
    {
        if (config.IsShortformer) shortformerPositions ??= PositionEmbedding();
        return attention.Apply(residual, shortformerPositions, weights.Blocks[layer], layer);
    }

    /// <summary>What the MLP of a block writes, before hook_mlp_out.</summary>
    public Tensor Mlp(Tensor residual, int layer) => mlp.Apply(residual, weights.Blocks[layer], layer);

    private Tensor Block(Tensor residual, int layer)
    {
        residual = hooks.At(HookSite.ResidPre, layer, residual);
        var attended = hooks.At(HookSite.AttnOut, layer, Attention(residual, layer));
        Tensor result;
        if (config.AttentionOnly)
        {
            result = residual.Plus(attended);
        }
        else if (config.ParallelBlocks)
        {
            var processed = hooks.At(HookSite.MlpOut, layer, Mlp(residual, layer));
            result = residual.Plus(attended).PlusInPlace(processed);
        }
        else
        {
            var middle = hooks.At(HookSite.ResidMid, layer, residual.Plus(attended));
            var processed = hooks.At(HookSite.MlpOut, layer, Mlp(middle, layer));
            result = middle.Plus(processed);
        }
        return hooks.At(HookSite.ResidPost, layer, result);
    }

    /// <summary>Logits of a final residual stream.</summary>
    /// <param name="residual">[batch, pos, d_model].</param>
    /// <param name="tokens">Those whose logits are wanted; null: all.</param>
    /// <returns>[batch, pos, d_vocab_out or tokens].</returns>
    public Tensor Unembed(Tensor residual, IReadOnlyList<int>? tokens = null)
    {
        var normalized = config.HasNorm
            ? model.Norm.Apply(residual, weights.FinalNorm, hooks, HookSite.LnFinalScale, HookSite.LnFinalNormalized, -1)
            : residual;
        normalized = hooks.At(HookSite.UnembedIn, -1, normalized);
        Tensor logits;
        if (tokens is null)
        {
            logits = hooks.At(HookSite.UnembedOut, -1, Linear.Apply(normalized, weights.Unembed, weights.UnembedBias));
        }
        else
        {
            var columns = tensor(tokens.Select(t => (long)t).ToArray(), device: residual.device);
            logits = Linear.Apply(normalized, weights.Unembed.index_select(0, columns), weights.UnembedBias?.index_select(0, columns));
        }
        return config.LogitsSoftCap > 0 ? SoftCap(logits, config.LogitsSoftCap) : logits;
    }

    /// <summary>cap · tanh(x / cap).</summary>
    internal static Tensor SoftCap(Tensor x, double cap) => x.DividedBy(cap).tanh().Times(cap);

    private Tensor PositionEmbedding()
    {
        var positions = weights.Positions!.index_select(0, layout.Positions.flatten()).view(layout.Positions.size(0), layout.Length, config.ModelWidth);
        // Padding has no position: its row is zero.
        if (layout.Present is { } present) positions = positions * present.unsqueeze(-1).to(positions.dtype);
        var wanted = hooks.Wants(HookSite.PosEmbed, -1);
        return wanted ? hooks.At(HookSite.PosEmbed, -1, positions.expand(layout.Batch, -1, -1), isShared: true) : positions;
    }
}
