using InteropInterp.Dictionaries.Architectures;
using InteropInterp.Native.Interop;
using InteropInterp.Native.Operators;
using InteropInterp.Tensors;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Formats;

/// <summary>
/// SAELens's folder: cfg.json and sae_weights.safetensors (SAE.load_from_disk, save_model). Inference files and training
/// checkpoints are read; batchtopk by the threshold it was trained to.
/// </summary>
public static class SaeLensFolder
{
    internal static SparseDictionary Read(DictionaryFiles files, ITensorSource source, DictionaryOptions options)
    {
        var fields = ConfigFields.Open(files.ConfigPath!);
        var read = SaeLensConfig.Read(fields, options.IgnoreUnknownFields);
        var config = read.Config;
        var scale = options.ActivationScale ?? (read.IsScaledOnAverage ? ActivationScaler.Read(files) : null);
        var tensors = new WeightFields(source, files.WeightsPath, options);
        var weights = new DictionaryWeights(
            tensors.Read("W_enc", config.InputWidth, config.Width).t().contiguous(),
            tensors.Read("b_enc", config.Width),
            tensors.Read("W_dec", config.Width, config.InputWidth),
            tensors.Read("b_dec", config.InputWidth));
        weights = weights with { Decoder = ScaledByCodes(weights.Decoder, tensors, read) };
        var architecture = ArchitectureOf(read, tensors);
        tensors.RefuseUnread();
        var dictionary = new SparseDictionary(config, weights, architecture);
        if (scale is not { } factor) return dictionary;
        using (dictionary) return dictionary.FoldActivationScale(factor);
    }

    /// <summary>
    /// Writes a dictionary as SAELens's save_model does. A batchtopk becomes a jumprelu with one threshold for all, its decoder
    /// norms folded where codes are in their units, as save_inference_model has it.
    /// </summary>
    /// <param name="storage">How numbers are stored; null: in the compute type. Narrower types round.</param>
    public static void Save(SparseDictionary dictionary, string folder, ScalarType? storage = null)
    {
        if (dictionary.Architecture is BatchTopK batch)
        {
            using var folded = dictionary.Config.RescalesByDecoderNorm ? dictionary.FoldDecoderNorms() : null;
            using var inference = AsJumpRelu(folded ?? dictionary, batch);
            Save(inference, folder, storage);
            return;
        }
        var dtype = storage ?? dictionary.DataType;
        AtomicFile.MakeFolder(folder);
        using var scope = NewDisposeScope();
        var tensors = StateDict(dictionary).Select(t => KeyValuePair.Create(t.Key, t.Value.to(dtype)));
        SafeTensors.Save(Path.Combine(folder, "sae_weights.safetensors"), tensors);
        using var file = AtomicFile.Create(Path.Combine(folder, "cfg.json"));
        file.Write(0, System.Text.Encoding.UTF8.GetBytes(ConfigJson(dictionary, dtype)));
        file.Commit();
    }

    /// <summary>Weights under SAELens's names and shapes (W_enc is [d_in, d_sae]), as views in the current scope.</summary>
    public static IReadOnlyDictionary<string, Tensor> StateDict(SparseDictionary dictionary)
    {
        var weights = dictionary.Weights;
        return new Dictionary<string, Tensor>(dictionary.Architecture.Tensors)
        {
            ["W_enc"] = weights.Encoder.t(),
            ["b_enc"] = weights.EncoderBias.alias(),
            ["W_dec"] = weights.Decoder.alias(),
            ["b_dec"] = weights.DecoderBias.alias(),
        };
    }

    /// <summary>The dictionary's cfg.json: byte for byte as SAELens's save_model writes it.</summary>
    /// <param name="storage">The dtype it names; null: the compute type.</param>
    public static string ConfigJson(SparseDictionary dictionary, ScalarType? storage = null) =>
        SaeLensConfigWriter.Write(dictionary, storage ?? dictionary.DataType);

    private static SparseDictionary AsJumpRelu(SparseDictionary dictionary, BatchTopK batch)
    {
        using var scope = NewDisposeScope();
        var w = dictionary.Weights;
        return new SparseDictionary(
            dictionary.Config with { RescalesByDecoderNorm = false },
            new DictionaryWeights(w.Encoder.alias(), w.EncoderBias.alias(), w.Decoder.alias(), w.DecoderBias.alias()),
            new JumpRelu(Ops.Full([dictionary.Config.Width], batch.Threshold, dictionary.DataType, dictionary.Device)));
    }

    private static Architecture ArchitectureOf(SaeLensConfig read, WeightFields tensors)
    {
        var width = read.Config.Width;
        return read.Architecture switch
        {
            "standard" => new Standard(),
            "topk" => new TopK(WholeK(read)),
            // Older checkpoints keep its logarithm.
            "jumprelu" when tensors.Has("log_threshold") => new JumpRelu(tensors.Read("log_threshold", width).exp()),
            "jumprelu" => new JumpRelu(tensors.Read("threshold", width)),
            _ => new BatchTopK(tensors.Number("topk_threshold"), read.K),
        };
    }

    private static int WholeK(SaeLensConfig read) => read.K is { } k && k == Math.Floor(k) && k <= read.Config.Width
        ? (int)k
        : throw InterpException.Invalid("INVALID_K", $"k is {read.K}; a whole number up to d_sae = {read.Config.Width} is expected.");

    // (f · s) W_dec is f (s W_dec): the factors of older versions are kept in the decoder's rows.
    private static Tensor ScaledByCodes(Tensor decoder, WeightFields tensors, SaeLensConfig read)
    {
        var name = tensors.Has("finetuning_scaling_factor") ? "finetuning_scaling_factor" : "scaling_factor";
        if (!tensors.Has(name)) return decoder;
        var factors = tensors.Read(name, read.Config.Width);
        if (factors.eq(Scalars.One).all().item<bool>()) return decoder;
        return read.ScalesCodes
            ? decoder * factors.unsqueeze(1)
            : throw ConfigFields.Bad($"The weights have a {name} that is not 1 everywhere, but finetuning_scaling_factor is not true in "
                + "cfg.json: whether codes are scaled is unclear.");
    }
}
