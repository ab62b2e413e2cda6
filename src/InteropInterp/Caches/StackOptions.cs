using InteropInterp.Plans;

namespace InteropInterp.Caches;

/// <summary>Which residual stream is taken apart, where, and whether its parts are seen through the norm that reads it.</summary>
public sealed record StackOptions
{
    /// <summary>The stream that this block reads: 0 ... n_layers; n_layers and null are the end.</summary>
    public int? Layer { get; init; }

    /// <summary>The stream that this block's MLP reads instead.</summary>
    public bool MlpInput { get; init; }

    /// <summary>
    /// Centre each part (LN) and divide it by the scale that the norm reading the stream had in this run. Weights of the norm are
    /// left out: they are folded, or belong to what reads (<see cref="LogitDirections"/>).
    /// </summary>
    public bool ApplyNorm { get; init; }

    /// <summary>Positions, negative ones from each row's own end; the axis is kept.</summary>
    public Positions Positions { get; init; } = Positions.All;

    /// <summary>The layer as a number.</summary>
    /// <exception cref="InterpException">LAYER_OUT_OF_RANGE; NO_MLP_INPUT.</exception>
    internal int ResolveLayer(Models.TransformerConfig config)
    {
        var layer = Layer ?? config.LayerCount;
        if (layer < 0 || layer > config.LayerCount)
            throw InterpException.OutOfRange("LAYER_OUT_OF_RANGE",
                $"The layer is {layer}; the model has {config.LayerCount}: 0 to {config.LayerCount}, the last being the end.");
        if (!MlpInput) return layer;
        InterpException.Require(config.HasMlp && !config.ParallelBlocks && layer < config.LayerCount, "NO_MLP_INPUT",
            layer == config.LayerCount
                ? "Behind the last block no MLP reads the stream; name the block."
                : "No MLP of this model reads a stream of its own.");
        return layer;
    }
}
