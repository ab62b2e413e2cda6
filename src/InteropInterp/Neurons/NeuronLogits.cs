using InteropInterp.Models;
using static TorchSharp.torch;

namespace InteropInterp.Neurons;

/// <summary>
/// Which tokens neurons of an MLP speak for and against: W_out[neuron] through the unembedding (<see cref="DirectLogits"/>), per unit of
/// activation. A model's own norm divides it by the stream's length, so the numbers compare within a model.
/// </summary>
public static class NeuronLogits
{
    /// <returns>[neurons, d_vocab_out], in the current scope.</returns>
    /// <exception cref="InterpException">NO_MLP, LAYER_OUT_OF_RANGE, NEURON_OUT_OF_RANGE, NO_NEURONS.</exception>
    public static Tensor Of(TransformerModel model, int layer, IReadOnlyList<int> neurons)
    {
        var config = model.Config;
        if (!config.HasMlp) throw InterpException.Precondition("NO_MLP", "The model has attention only: there are no neurons.");
        if (layer < 0 || layer >= config.LayerCount)
            throw InterpException.OutOfRange("LAYER_OUT_OF_RANGE", $"Layer {layer}: the model has {config.LayerCount} (0 to {config.LayerCount - 1}).");
        InterpException.Require(neurons.Count > 0, "NO_NEURONS", "0 neurons are asked for; at least one is needed.");
        foreach (var neuron in neurons)
            if (neuron < 0 || neuron >= config.MlpWidth)
                throw InterpException.OutOfRange("NEURON_OUT_OF_RANGE", $"Neuron {neuron}: layer {layer} has {config.MlpWidth} (0 to {config.MlpWidth - 1}).");
        using var scope = NewDisposeScope();
        var written = model.StateDict[$"blocks.{layer}.mlp.W_out"];
        var rows = written.index_select(0, tensor(neurons.Select(n => (long)n).ToArray(), device: written.device));
        return DirectLogits.Of(model, rows).MoveToOuterDisposeScope();
    }

    /// <summary>The tokens each neuron speaks for most, and those it speaks against most, each with its weight.</summary>
    /// <exception cref="InterpException">As <see cref="Of"/>; TOP_K.</exception>
    public static IReadOnlyList<NeuronTokens> Top(TransformerModel model, int layer, IReadOnlyList<int> neurons, int k)
    {
        InterpException.Require(k > 0 && k <= model.Config.OutputVocabularySize, "TOP_K", $"k is {k}; 1 to {model.Config.OutputVocabularySize} are expected.");
        var found = new List<NeuronTokens>();
        // Neurons whose weights for all tokens are looked at at once.
        foreach (var some in neurons.Chunk(256))
        {
            using var scope = NewDisposeScope();
            var weights = Of(model, layer, some);
            var (up, down) = (Best(weights, k, largest: true), Best(weights, k, largest: false));
            found.AddRange(some.Select((neuron, i) => new NeuronTokens(neuron, up[i], down[i])));
        }
        InterpException.Require(neurons.Count > 0, "NO_NEURONS", "0 neurons are asked for; at least one is needed.");
        return found;
    }

    private static List<TokenWeight[]> Best(Tensor weights, int k, bool largest)
    {
        var (values, tokens) = weights.topk(k, 1, largest, true);
        var numbers = values.to(ScalarType.Float64).cpu().contiguous().data<double>().ToArray();
        var ids = tokens.cpu().contiguous().data<long>().ToArray();
        return [.. ids.Zip(numbers, (id, number) => new TokenWeight((int)id, number)).Chunk(k)];
    }
}

/// <summary>A token and how much is said for it.</summary>
public readonly record struct TokenWeight(int Token, double Weight);

/// <param name="Promoted">Largest weight first.</param>
/// <param name="Suppressed">Smallest first.</param>
public sealed record NeuronTokens(int Neuron, IReadOnlyList<TokenWeight> Promoted, IReadOnlyList<TokenWeight> Suppressed);
