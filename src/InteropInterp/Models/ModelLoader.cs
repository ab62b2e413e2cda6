using InteropInterp.Models.Families;
using InteropInterp.Models.Weights;
using InteropInterp.Tensors;
using InteropInterp.Tensors.Gguf;
using static TorchSharp.torch;

namespace InteropInterp.Models;

/// <summary>From files, or from tensors in memory, to a model.</summary>
public static class ModelLoader
{
    /// <exception cref="InterpException">MODEL_NOT_FOUND, UNKNOWN_ARCHITECTURE, INVALID_CONFIG, WEIGHT_MISSING, WEIGHT_SHAPE and the like.</exception>
    public static TransformerModel Load(string name, LoadOptions? options = null, CancellationToken cancellation = default) =>
        Load(ModelFiles.Find(name), options, cancellation);

    public static TransformerModel Load(ModelFiles files, LoadOptions? options = null, CancellationToken cancellation = default)
    {
        Native.LibTorch.Load();
        options ??= new LoadOptions();
        if (files.Layout == ModelLayout.Gguf)
        {
            using var gguf = GgufFile.Open(files.WeightsPath);
            return Build(LlamaGguf.Configure(gguf), gguf, LlamaGguf.Map, options, cancellation);
        }
        using var source = SafeTensors.Open(files.WeightsPath);
        if (files.Layout == ModelLayout.TransformerLens)
        {
            var config = TransformerConfigJson.Parse(File.ReadAllText(files.ConfigPath), $"'{files.ConfigPath}'");
            return Build(config, source, TransformerLensLayout.Map, options, cancellation);
        }
        var theirs = HuggingFaceConfig.Read(files.ConfigPath);
        var family = ModelFamilies.Find(theirs);
        return Build(family.Configure(theirs), source, family.Map, options, cancellation);
    }

    /// <summary>A model over a TransformerLens state dict in memory (HookedTransformer.load_and_process_state_dict). Copies.</summary>
    /// <param name="stateDict">Unprocessed weights, borrowed.</param>
    public static TransformerModel FromStateDict(
        TransformerConfig config, IReadOnlyDictionary<string, Tensor> stateDict, LoadOptions? options = null, CancellationToken cancellation = default)
    {
        using var source = new MemoryTensors(stateDict);
        return Build(config, source, TransformerLensLayout.Map, options ?? new LoadOptions { Processing = ProcessingOptions.None }, cancellation);
    }

    /// <summary>A model with random weights (HookedTransformer(cfg)): the config's seed, else 0.</summary>
    public static TransformerModel Random(TransformerConfig config, LoadOptions? options = null)
    {
        Native.LibTorch.Load();
        config = config.Complete();
        options ??= new LoadOptions { Processing = ProcessingOptions.None };
        // The same numbers in every type that is no wider.
        var weights = RandomWeights.Make(config, config.Seed ?? 0, ComputeTypes.IsHalf(options.DataType) ? ScalarType.Float32 : options.DataType);
        try
        {
            return FromStateDict(config, weights, options);
        }
        finally
        {
            foreach (var tensor in weights.Values) tensor.Dispose();
        }
    }

    private static TransformerModel Build(
        TransformerConfig config, ITensorSource source, Action<WeightMap, TransformerConfig> fill, LoadOptions options, CancellationToken cancellation)
    {
        ComputeTypes.Check(options.Device, options.DataType);
        config = Adjusted(config.Complete(), options);
        var map = new WeightMap(source);
        fill(map, config);
        // A shorter context than the file has positions for: the first ones serve.
        if (options.ContextLength is { } length && config.HasPositionTable) map.Then("pos_embed.W_pos", t => t.narrow(0, 0, length));
        using var inference = no_grad();
        using var assembler = new WeightAssembler(config, map, options.Processing, options.DataType, Devices.Of(options.Device));
        try
        {
            return new TransformerModel(options.Processing.Apply(config), assembler.Assemble(cancellation), options.Processing);
        }
        catch (OperationCanceledException e)
        {
            throw new InterpException(ErrorCode.Cancelled, "CANCELLED", "Loading the model was cancelled.", innerException: e);
        }
    }

    private static TransformerConfig Adjusted(TransformerConfig config, LoadOptions options)
    {
        if (options.FirstLayers is { } layers)
        {
            if (layers < 0 || layers > config.LayerCount)
                throw InterpException.OutOfRange("LAYER_OUT_OF_RANGE", $"first_n_layers is {layers}; the model has {config.LayerCount}.");
            config = config with { LayerCount = layers };
        }
        if (options.ContextLength is { } context)
        {
            if (context < 1 || (config.HasPositionTable && context > config.ContextLength))
                throw InterpException.OutOfRange("CONTEXT_OUT_OF_RANGE", $"n_ctx is {context}; the model has positions for {config.ContextLength}.");
            // A table of positions is cut; rotary positions go on.
            config = config with { ContextLength = context };
        }
        return options.DefaultPrependBos is { } bos ? config with { DefaultPrependBos = bos } : config;
    }
}
