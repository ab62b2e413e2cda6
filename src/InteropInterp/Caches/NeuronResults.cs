using InteropInterp.Plans;
using static TorchSharp.torch;

namespace InteropInterp.Caches;

/// <summary>What each MLP neuron adds to the residual stream (TransformerLens's get_neuron_results, stack_neuron_results).</summary>
public static class NeuronResults
{
    /// <summary>What neurons of one MLP add: [batch, pos, neuron, d_model], without b_out; the caller owns it.</summary>
    /// <param name="projectOnto">Directions [d_model] or [d_model, outputs]: [batch, pos, neuron] or [..., outputs] instead.</param>
    /// <exception cref="InterpException">NO_MLP, NOT_CACHED, NEURON_OUT_OF_RANGE, POSITION_OUT_OF_RANGE, DIRECTION_SHAPE.</exception>
    public static Tensor NeuronResult(
        this ActivationCache cache, int layer, Positions? neurons = null, Positions? positions = null, Tensor? projectOnto = null)
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var options = new StackOptions { Positions = positions ?? Positions.All };
        var written = cache.Neurons(layer, neurons, options, new Writers(cache, options, projectOnto));
        return written.movedim([0], [cache.HasBatch ? 2 : 1]).contiguous().DetachFromDisposeScope();
    }

    /// <summary>
    /// What neurons of every MLP before a layer add: [layer · neuron, batch, pos, d_model], labels L0N0, ... That is
    /// n_layers · d_mlp vectors per position: name positions, neurons, or directions.
    /// </summary>
    /// <param name="neurons">Of each MLP; null: all.</param>
    /// <param name="includeRemainder">A last entry with everything else that stands in the stream there.</param>
    /// <param name="projectOnto">Directions [d_model] or [d_model, outputs] to see it along, after the norm if that is asked for.</param>
    /// <exception cref="InterpException">As <see cref="NeuronResult"/>; LAYER_OUT_OF_RANGE; NOTHING_TO_STACK.</exception>
    public static ResidualComponents StackNeuronResults(
        this ActivationCache cache, StackOptions? options = null, Positions? neurons = null, bool includeRemainder = false,
        Tensor? projectOnto = null)
    {
        options ??= new StackOptions();
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var layer = options.ResolveLayer(cache.Model.Config);
        InterpException.Require(layer > 0, "NOTHING_TO_STACK", "No MLP stands before layer 0.");
        var writers = new Writers(cache, options, projectOnto);
        var (labels, stacked) = cache.AllNeurons(layer, neurons, options, writers);
        if (!includeRemainder) return ResidualComponents.Join([(labels, stacked)]);
        var stream = writers.Whole(cache.AtPositions(cache.Stream(layer, options.MlpInput), options.Positions).unsqueeze(0));
        return ResidualComponents.Join([(labels, stacked), (["remainder"], stream - stacked.sum(0, keepdim: true))]);
    }

    internal static (IReadOnlyList<string> Labels, Tensor Values) AllNeurons(
        this ActivationCache cache, int layers, Positions? neurons, StackOptions options, Writers writers)
    {
        var width = cache.Model.Config.MlpWidth ?? 0;
        var indices = (neurons ?? Positions.All).Resolve(width, "neuron");
        var parts = Enumerable.Range(0, layers).Select(l => cache.Neurons(l, neurons, options, writers)).ToArray();
        return ([.. Enumerable.Range(0, layers).SelectMany(l => indices.Select(n => $"L{l}N{n}"))], cat(parts, 0));
    }

    // [neuron, batch, pos, ...].
    private static Tensor Neurons(this ActivationCache cache, int layer, Positions? neurons, StackOptions options, Writers writers)
    {
        var config = cache.Model.Config;
        if (!config.HasMlp) throw InterpException.Precondition("NO_MLP", "The model has attention only: there are no neurons.");
        var indices = (neurons ?? Positions.All).Resolve(config.MlpWidth!.Value, "neuron");
        var acts = cache.AtPositions(cache["post", layer], options.Positions);
        var weight = cache.Model.StateDict[$"blocks.{layer}.mlp.W_out"];
        return writers.Neurons(AxisSlice.Take(acts, (int)acts.dim() - 1, indices), AxisSlice.Take(weight, 0, indices));
    }
}
