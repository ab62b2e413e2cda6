using InteropInterp.Models.Forward;
using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Caches;

/// <summary>
/// The residual stream as it grows, and as a sum of what blocks write (TransformerLens's accumulated_resid, decompose_resid).
/// </summary>
public static class ResidualDecomposition
{
    /// <summary>
    /// The stream before each block up to a layer: [streams, batch, pos, d_model], labels 0_pre, 0_mid, ..., final_post. With
    /// the norm, at the end, each by its own statistics and with the norm's weights: what the logit lens reads.
    /// </summary>
    /// <param name="includeMiddle">Also the stream before each MLP.</param>
    /// <exception cref="InterpException">NOT_CACHED, LAYER_OUT_OF_RANGE, POSITION_OUT_OF_RANGE.</exception>
    public static ResidualComponents AccumulatedResidual(
        this ActivationCache cache, StackOptions? options = null, bool includeMiddle = false)
    {
        options ??= new StackOptions();
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var config = cache.Model.Config;
        var layer = options.ResolveLayer(config);
        var parts = new List<(string, Tensor)>();
        for (var l = 0; l <= layer; l++)
        {
            parts.Add((l == config.LayerCount ? "final_post" : $"{l}_pre", cache.AtPositions(cache.Stream(l, false), options.Positions)));
            if (l < layer ? includeMiddle && config is { HasMlp: true, ParallelBlocks: false } : options.MlpInput)
                parts.Add(($"{l}_mid", cache.AtPositions(cache["resid_mid", l], options.Positions)));
        }
        if (options.ApplyNorm)
        {
            if (layer < config.LayerCount) return cache.Normalized(ResidualComponents.Of(parts), options);
            parts = [.. parts.Select(p => (p.Item1, cache.Model.FinalNorm(p.Item2)))];
        }
        return ResidualComponents.Of(parts);
    }

    /// <summary>
    /// What each block adds to the stream that a layer reads: [components, batch, pos, d_model], labels embed, pos_embed,
    /// 0_attn_out, 0_mlp_out, ... All parts sum to the stream.
    /// </summary>
    /// <exception cref="InterpException">NOT_CACHED, LAYER_OUT_OF_RANGE, POSITION_OUT_OF_RANGE, NOTHING_TO_STACK.</exception>
    public static ResidualComponents DecomposeResidual(
        this ActivationCache cache, StackOptions? options = null, ResidualParts parts = ResidualParts.All)
    {
        options ??= new StackOptions();
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var config = cache.Model.Config;
        var layer = options.ResolveLayer(config);
        var found = new List<(string Label, Tensor Value)>();
        void Add(string label, Tensor value) => found.Add((label, cache.AtPositions(value, options.Positions)));
        if (parts.HasFlag(ResidualParts.Embeddings))
            foreach (var (label, value) in cache.Embeddings()) Add(label, value);
        for (var l = 0; l < layer; l++)
        {
            if (parts.HasFlag(ResidualParts.Attention)) Add($"{l}_attn_out", cache["attn_out", l]);
            if (parts.HasFlag(ResidualParts.Mlp) && config.HasMlp) Add($"{l}_mlp_out", cache["mlp_out", l]);
        }
        if (options.MlpInput && parts.HasFlag(ResidualParts.Attention)) Add($"{layer}_attn_out", cache["attn_out", layer]);
        InterpException.Require(found.Count > 0, "NOTHING_TO_STACK", $"No component of kind {parts} stands before layer {layer}.");
        var stacked = ResidualComponents.Of(found);
        return options.ApplyNorm ? cache.Normalized(stacked, options) : stacked;
    }

    /// <summary>The stream that a layer (or its MLP) reads: [batch, pos, d_model].</summary>
    internal static Tensor Stream(this ActivationCache cache, int layer, bool mlpInput)
    {
        if (mlpInput) return cache["resid_mid", layer];
        if (layer < cache.Model.Config.LayerCount) return cache["resid_pre", layer];
        if (layer > 0) return cache["resid_post", layer - 1];
        return cache.Embeddings().Select(e => e.Value).Aggregate((a, b) => a.Plus(b));
    }

    /// <summary>What the embedding writes into the stream, by name.</summary>
    internal static IEnumerable<(string Label, Tensor Value)> Embeddings(this ActivationCache cache)
    {
        yield return ("embed", cache["hook_embed"]);
        // Shortformer's positions go into queries and keys, never into the stream.
        if (cache.Model.Config is { HasPositionTable: true, IsShortformer: false }) yield return ("pos_embed", cache["hook_pos_embed"]);
    }
}
