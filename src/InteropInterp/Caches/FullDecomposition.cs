using static TorchSharp.torch;

namespace InteropInterp.Caches;

/// <summary>The residual stream down to heads and neurons (TransformerLens's get_full_resid_decomposition).</summary>
public static class FullDecomposition
{
    /// <summary>
    /// Everything that stands in the stream a layer reads: heads, neurons (or MLPs), embed, pos_embed, bias: [components, batch,
    /// pos, d_model]. They sum to it.
    /// </summary>
    /// <param name="expandNeurons">A component per neuron; else one per MLP, with its bias in it.</param>
    /// <param name="projectOnto">Directions [d_model] or [d_model, outputs] to see it along, after the norm if that is asked for.</param>
    /// <remarks>TransformerLens 3.9 raises on attention-only models; here they have no neurons and no MLPs.</remarks>
    /// <exception cref="InterpException">NOT_CACHED, LAYER_OUT_OF_RANGE, POSITION_OUT_OF_RANGE, DIRECTION_SHAPE.</exception>
    public static ResidualComponents FullResidualDecomposition(
        this ActivationCache cache, StackOptions? options = null, bool expandNeurons = true, Tensor? projectOnto = null)
    {
        options ??= new StackOptions();
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var config = cache.Model.Config;
        var layer = options.ResolveLayer(config);
        var writers = new Writers(cache, options, projectOnto);
        var attentionLayers = layer + (options.MlpInput ? 1 : 0);
        var stacks = new List<(IReadOnlyList<string>, Tensor)>
        {
            (HeadResults.HeadLabels(attentionLayers, config.HeadCount), cache.Heads(options, attentionLayers, writers)),
        };
        if (config.HasMlp && layer > 0)
        {
            if (expandNeurons)
            {
                stacks.Add(cache.AllNeurons(layer, null, options, writers));
            }
            else
            {
                var outputs = stack([.. Enumerable.Range(0, layer).Select(l => cache.AtPositions(cache["mlp_out", l], options.Positions))]);
                stacks.Add(([.. Enumerable.Range(0, layer).Select(l => $"{l}_mlp_out")], writers.Whole(outputs)));
            }
        }
        foreach (var (label, value) in cache.Embeddings())
            stacks.Add(([label], writers.Whole(cache.AtPositions(value, options.Positions).unsqueeze(0))));
        using var bias = cache.Model.AccumulatedBias(options, includeMlp: expandNeurons);
        var like = cache.AtPositions(cache.Stream(layer, options.MlpInput), options.Positions);
        stacks.Add((["bias"], writers.Whole(bias.expand(like.shape).unsqueeze(0))));
        return ResidualComponents.Join(stacks);
    }
}
