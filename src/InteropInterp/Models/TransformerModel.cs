using InteropInterp.Models.Forward;
using InteropInterp.Models.Weights;
using static TorchSharp.torch;

namespace InteropInterp.Models;

/// <summary>A loaded model: immutable, shared by everyone who uses the same file, processing, type and device.</summary>
public sealed class TransformerModel : IDisposable
{
    public TransformerModel(TransformerConfig config, ModelWeights weights, ProcessingOptions processing)
    {
        Config = config;
        Weights = weights;
        Processing = processing;
        StateDict = new StateDict(weights, config);
        DataType = weights.Embed.dtype;
        Device = weights.Embed.device;
        WeightBytes = weights.Bytes;
        Rotary = config.IsRotary ? new RotaryTable(config, DataType, Device) : null;
        Norm = new Normalization(config.IsRms, config.Epsilon);
        // The norm inside solu_ln is a LayerNorm whatever the blocks use.
        MlpNorm = new Normalization(false, config.Epsilon);
        Activation = config.HasMlp ? Forward.Activation.Of(config.Activation!) : null;
    }

    public TransformerConfig Config { get; }
    public ModelWeights Weights { get; }

    /// <summary>The weights under their TransformerLens names and shapes.</summary>
    public StateDict StateDict { get; }

    /// <summary>What was asked of the weights on loading.</summary>
    public ProcessingOptions Processing { get; }

    /// <summary>The type it computes in.</summary>
    public ScalarType DataType { get; }

    /// <summary>Bytes of a number in a pass, as memory is reckoned: half types count as float32, in which some of their steps run.</summary>
    public int ElementSize => DataType == ScalarType.Float64 ? 8 : 4;

    public Device Device { get; }

    /// <summary>Bytes its weights hold.</summary>
    public long WeightBytes { get; }

    internal RotaryTable? Rotary { get; }
    internal Normalization Norm { get; }
    internal Normalization MlpNorm { get; }
    internal Func<Tensor, Tensor>? Activation { get; }

    public void Dispose()
    {
        Weights.Dispose();
        Rotary?.Dispose();
    }
}
