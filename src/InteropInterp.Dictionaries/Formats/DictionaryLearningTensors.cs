using InteropInterp.Dictionaries.Architectures;
using InteropInterp.Native.Operators;
using InteropInterp.Tensors;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Formats;

/// <summary>
/// State dicts of saprmarks/dictionary_learning. Which class they belong to is said by a config.json beside them or by their names:
/// AutoEncoder, AutoEncoderNew, AutoEncoderTopK, BatchTopKSAE, MatryoshkaBatchTopKSAE, JumpReluAutoEncoder. Decoder norms stay as
/// stored; the package itself folds those of an AutoEncoder on loading (<see cref="SparseDictionary.FoldDecoderNorms"/> does).
/// </summary>
/// <remarks>An <c>act_mean</c> is subtracted before encoding and added after decoding: both are what b_dec does, so it joins it.</remarks>
public static class DictionaryLearningTensors
{
    private static readonly string[] Classes =
        ["AutoEncoder", "AutoEncoderNew", "AutoEncoderTopK", "BatchTopKSAE", "MatryoshkaBatchTopKSAE", "JumpReluAutoEncoder"];

    /// <param name="source">The tensors; borrowed.</param>
    /// <param name="configPath">The trainer's config.json; null where there is none.</param>
    /// <exception cref="InterpException">UNKNOWN_ARCHITECTURE, DICTIONARY_AMBIGUOUS, TENSOR_MISSING, DICTIONARY_SHAPE,
    /// UNEXPECTED_TENSOR.</exception>
    public static SparseDictionary Read(ITensorSource source, string? configPath = null, DictionaryOptions? options = null)
    {
        Native.LibTorch.Load();
        options ??= new DictionaryOptions();
        var path = configPath is null ? "the dictionary" : Path.GetDirectoryName(configPath)!;
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var tensors = new WeightFields(source, path, options);
        var name = ClassOf(configPath) ?? Guess(tensors, path);
        var isTransposed = tensors.Has("W_enc");
        var shape = tensors.Shape(isTransposed ? "W_dec" : "encoder.weight");
        if (shape.Count != 2 || shape.Any(s => s is < 1 or > int.MaxValue))
            throw InterpException.DataLoss("DICTIONARY_SHAPE",
                $"{path}: its matrices are [{string.Join(", ", shape)}]; [d_sae, d_in] is expected.");
        int width = (int)shape[0], input = (int)shape[1];

        var weights = isTransposed
            ? new DictionaryWeights(
                tensors.Read("W_enc", input, width).t().contiguous(), tensors.Read("b_enc", width),
                tensors.Read("W_dec", width, input), tensors.Read("b_dec", input))
            : new DictionaryWeights(
                tensors.Read("encoder.weight", width, input), tensors.Read("encoder.bias", width),
                tensors.Read("decoder.weight", input, width).t().contiguous(),
                tensors.Read(name switch { "AutoEncoder" => "bias", "AutoEncoderNew" => "decoder.bias", _ => "b_dec" }, input));
        var subtracts = name is not ("AutoEncoderNew" or "JumpReluAutoEncoder");
        if (tensors.Has("act_mean"))
        {
            InterpException.Require(subtracts, "UNSUPPORTED_FEATURE",
                $"{path}: act_mean is read for dictionaries that subtract b_dec before encoding; {name} does not.");
            weights = weights with { DecoderBias = weights.DecoderBias.Plus(tensors.Read("act_mean", input)) };
        }
        var architecture = ArchitectureOf(name, tensors, width, path);
        tensors.RefuseUnread();
        var config = new DictionaryConfig { InputWidth = input, Width = width, SubtractsDecoderBias = subtracts };
        return new SparseDictionary(config, weights, architecture);
    }

    private static Architecture ArchitectureOf(string name, WeightFields tensors, int width, string path)
    {
        if (tensors.Has("group_sizes")) tensors.Skip("group_sizes");
        switch (name)
        {
            case "AutoEncoder" or "AutoEncoderNew":
                return new Standard();
            case "JumpReluAutoEncoder":
                return new JumpRelu(tensors.Read("threshold", width));
            case "AutoEncoderTopK":
                if (tensors.Has("threshold")) tensors.Skip("threshold");
                var k = tensors.Number("k");
                InterpException.Require(k >= 1 && k <= width, "INVALID_K", $"{path}: k is {k}; 1 to {width} is expected.");
                return new TopK((int)k);
            default:
                var threshold = tensors.Number("threshold");
                InterpException.Require(threshold >= 0, "THRESHOLD_NOT_TRAINED",
                    $"{path}: the threshold is {threshold}: training never estimated it, so the dictionary has no inference of its own.");
                return new BatchTopK(threshold, tensors.Has("k") ? tensors.Number("k") : null);
        }
    }

    private static string? ClassOf(string? configPath)
    {
        if (configPath is null || ConfigFields.Open(configPath).Object("trainer") is not { } trainer) return null;
        var name = new ConfigFields(trainer, configPath).Text("dict_class");
        return Classes.Contains(name)
            ? name
            : throw new InterpException(ErrorCode.Unimplemented, "UNKNOWN_ARCHITECTURE",
                $"'{configPath}': dict_class '{name}' is not read; {string.Join(", ", Classes)} are.", NearestNames.Find(name, Classes));
    }

    private static string Guess(WeightFields tensors, string path)
    {
        var hasManyThresholds = tensors.Has("threshold") && tensors.Count("threshold") > 1;
        if (tensors.Has("W_enc")) return hasManyThresholds ? "JumpReluAutoEncoder" : "MatryoshkaBatchTopKSAE";
        if (tensors.Has("decoder.bias")) return "AutoEncoderNew";
        if (tensors.Has("bias")) return "AutoEncoder";
        if (!tensors.Has("k")) return "BatchTopKSAE";
        // AutoEncoderTopK and BatchTopKSAE have the same tensors. A threshold that was never trained is no BatchTopK's.
        return !tensors.Has("threshold") || tensors.Number("threshold") < 0
            ? "AutoEncoderTopK"
            : throw InterpException.Precondition("DICTIONARY_AMBIGUOUS",
                $"{path}: a k and a threshold belong to AutoEncoderTopK as well as to BatchTopKSAE; "
                + "put the trainer's config.json (dict_class) beside the tensors.");
    }
}
