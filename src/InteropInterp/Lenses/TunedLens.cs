using System.Globalization;
using InteropInterp.Models;
using InteropInterp.Native.Operators;
using InteropInterp.Tensors;
using static TorchSharp.torch;

namespace InteropInterp.Lenses;

/// <summary>
/// An affine translator per block, from the stream that the block reads to the one that is unembedded: h + W h + b (Belrose et
/// al. 2023, "Eliciting Latent Predictions from Transformers with the Tuned Lens"). Made by <see cref="TunedLensTrainer"/>. It
/// owns its tensors; tensor names are those of the tuned-lens package: "0.weight", "0.bias", ...
/// </summary>
public sealed class TunedLens : IDisposable
{
    private const string Kind = "tuned_lens";

    /// <param name="weights">Per layer [d_model, d_model]; taken over.</param>
    /// <param name="biases">Per layer [d_model]; taken over.</param>
    internal TunedLens(IReadOnlyList<Tensor> weights, IReadOnlyList<Tensor> biases)
    {
        Weights = weights;
        Biases = biases;
    }

    /// <summary>Per layer [d_model, d_model].</summary>
    public IReadOnlyList<Tensor> Weights { get; }

    /// <summary>Per layer [d_model].</summary>
    public IReadOnlyList<Tensor> Biases { get; }

    /// <summary>All tensors under their names: "0.weight", "0.bias", "1.weight", ...</summary>
    public IEnumerable<KeyValuePair<string, Tensor>> Translators => Named(Weights, Biases);

    /// <summary>The lens that translates nothing: the logit lens.</summary>
    public static TunedLens Identity(TransformerModel model)
    {
        using var scope = NewDisposeScope();
        long d = model.Config.ModelWidth;
        Tensor[] Zeros(params long[] shape) =>
            [.. Enumerable.Range(0, model.Config.LayerCount).Select(_ => zeros(shape, model.DataType, model.Device).DetachFromDisposeScope())];
        return new TunedLens(Zeros(d, d), Zeros(d));
    }

    /// <summary>h + W h + b.</summary>
    /// <param name="stream">resid_pre of the layer [..., d_model].</param>
    /// <returns>Of the same shape, in the current scope; differentiable.</returns>
    public Tensor Translate(int layer, Tensor stream) => stream.Plus(Linear.Apply(stream, Weights[layer], Biases[layer]));

    /// <summary>Writes the translators as safetensors.</summary>
    public void Save(string path) => SafeTensors.Save(path, Named(Weights, Biases), new Dictionary<string, string>
    {
        ["kind"] = Kind,
        ["n_layers"] = Weights.Count.ToString(CultureInfo.InvariantCulture),
    });

    /// <summary>Reads translators for a model, in its compute type, onto its device.</summary>
    /// <exception cref="InterpException">LENS_INVALID: not of this model's layers and width; those of opening a file.</exception>
    public static TunedLens Load(string path, TransformerModel model)
    {
        using var file = SafeTensorsFile.Open(path);
        return Of(model, $"'{path}'", file.Entries.ToDictionary(e => e.Key, e => e.Value.Shape), name => file.Read(name, model.DataType));
    }

    /// <summary>Copies of translators by their names, in the model's compute type and on its device.</summary>
    /// <exception cref="InterpException">LENS_INVALID.</exception>
    public static TunedLens Of(TransformerModel model, IReadOnlyDictionary<string, Tensor> translators) => Of(
        model, "What was given", translators.ToDictionary(t => t.Key, t => (IReadOnlyList<long>)t.Value.shape), name => translators[name]);

    private static TunedLens Of(
        TransformerModel model, string what, Dictionary<string, IReadOnlyList<long>> shapes, Func<string, Tensor> read)
    {
        var lens = Identity(model);
        try
        {
            using var scope = NewDisposeScope();
            using var mode = no_grad();
            var named = Named(lens.Weights, lens.Biases).ToDictionary();
            foreach (var name in shapes.Keys)
                if (!named.ContainsKey(name)) throw Invalid($"it has '{name}', for which a model of {lens.Weights.Count} layers has no place");
            foreach (var (name, target) in named)
            {
                if (!shapes.TryGetValue(name, out var shape)) throw Invalid($"it has no '{name}'");
                if (!shape.SequenceEqual(target.shape)) throw Invalid($"its '{name}' is {shape.Shown()}, not {target.Shown()}");
                target.copy_(read(name));
            }
            return lens;
        }
        catch
        {
            lens.Dispose();
            throw;
        }

        InterpException Invalid(string why) => InterpException.DataLoss("LENS_INVALID", $"{what} is no tuned lens of this model: {why}.");
    }

    /// <exception cref="InterpException">LENS_MODEL.</exception>
    internal void CheckFits(TransformerModel model)
    {
        var width = Biases.Count == 0 ? 0 : Biases[0].size(0);
        InterpException.Require(Weights.Count == model.Config.LayerCount && width == model.Config.ModelWidth, "LENS_MODEL",
            $"The lens is for {Weights.Count} layers of width {width}; the model has {model.Config.LayerCount} of width {model.Config.ModelWidth}.");
    }

    /// <summary>Layer by layer, each with its weight first.</summary>
    internal static IEnumerable<KeyValuePair<string, Tensor>> Named(IReadOnlyList<Tensor> weights, IReadOnlyList<Tensor> biases) =>
        weights.Zip(biases, (weight, bias) => (weight, bias)).SelectMany((layer, l) => new[]
        {
            KeyValuePair.Create($"{l}.weight", layer.weight), KeyValuePair.Create($"{l}.bias", layer.bias),
        });

    public void Dispose()
    {
        foreach (var tensor in Weights.Concat(Biases)) tensor.Dispose();
    }
}
