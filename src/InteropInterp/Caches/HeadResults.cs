using static TorchSharp.torch;

namespace InteropInterp.Caches;

/// <summary>
/// What each head adds to the residual stream, from z and W_O: hook_result [batch, pos, head, d_model] is never kept
/// (TransformerLens's stack_head_results, compute_head_results).
/// </summary>
public static class HeadResults
{
    /// <summary>What every head before a layer adds: [layer · head, batch, pos, d_model], labels L0H0, ...</summary>
    /// <param name="includeRemainder">A last entry with everything else that stands in the stream there.</param>
    /// <param name="projectOnto">Directions [d_model] or [d_model, outputs] to see it along, after the norm if that is asked for.</param>
    /// <returns>Without any head, a stack of length 0.</returns>
    /// <exception cref="InterpException">NOT_CACHED, LAYER_OUT_OF_RANGE, POSITION_OUT_OF_RANGE, DIRECTION_SHAPE.</exception>
    public static ResidualComponents StackHeadResults(
        this ActivationCache cache, StackOptions? options = null, bool includeRemainder = false, Tensor? projectOnto = null)
    {
        options ??= new StackOptions();
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var layer = options.ResolveLayer(cache.Model.Config);
        var writers = new Writers(cache, options, projectOnto);
        var labels = HeadLabels(layer + (options.MlpInput ? 1 : 0), cache.Model.Config.HeadCount);
        var heads = cache.Heads(options, layer + (options.MlpInput ? 1 : 0), writers);
        if (!includeRemainder) return ResidualComponents.Join([(labels, heads)]);
        var stream = writers.Whole(cache.AtPositions(cache.Stream(layer, options.MlpInput), options.Positions).unsqueeze(0));
        return ResidualComponents.Join([(labels, heads), (["remainder"], stream - heads.sum(0, keepdim: true))]);
    }

    /// <summary>What each head of a layer adds: [batch, pos, head, d_model], without b_O. The caller owns it.</summary>
    public static Tensor HeadResult(this ActivationCache cache, int layer)
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        return new Writers(cache, new StackOptions(), null).Heads(cache["z", layer], cache.Model.StateDict[$"blocks.{layer}.attn.W_O"])
            .movedim([0], [-2]).DetachFromDisposeScope();
    }

    /// <summary>An activation of every layer before one: [layer, ...]. The caller owns it.</summary>
    /// <param name="layerType">As in <see cref="ActivationCache"/>'s indexer.</param>
    /// <param name="before">The first layer left out; null: none.</param>
    public static Tensor StackActivation(this ActivationCache cache, string name, int? before = null, string? layerType = null)
    {
        using var scope = NewDisposeScope();
        var count = new StackOptions { Layer = before }.ResolveLayer(cache.Model.Config);
        InterpException.Require(count > 0, "NOTHING_TO_STACK", "There is no layer before the first.");
        return stack([.. Enumerable.Range(0, count).Select(l => cache[name, l, layerType])]).DetachFromDisposeScope();
    }

    internal static IReadOnlyList<string> HeadLabels(int layers, int heads) =>
        [.. Enumerable.Range(0, layers * heads).Select(i => $"L{i / heads}H{i % heads}")];

    // Each layer's heads are written where they belong: beside the result, one layer is held.
    internal static Tensor Heads(this ActivationCache cache, StackOptions options, int layers, Writers writers)
    {
        var count = cache.Model.Config.HeadCount;
        Tensor? result = null;
        for (var l = 0; l < layers; l++)
        {
            using var scope = NewDisposeScope();
            var written = writers.Heads(cache.AtPositions(cache["z", l], options.Positions), cache.Model.StateDict[$"blocks.{l}.attn.W_O"]);
            result ??= empty([(long)layers * count, .. written.shape[1..]], written.dtype, written.device).MoveToOuterDisposeScope();
            result.narrow(0, (long)l * count, count).copy_(written);
        }
        return result ?? writers.Whole(cache.AtPositions(cache.Stream(0, false), options.Positions).unsqueeze(0)).narrow(0, 0, 0);
    }
}
