using InteropInterp.Models.Weights;
using static TorchSharp.torch;

namespace InteropInterp.Models;

/// <summary>How a model is loaded; part of what identifies it once loaded.</summary>
public sealed record LoadOptions
{
    public ProcessingOptions Processing { get; init; } = ProcessingOptions.Default;

    /// <summary>The compute type: Float32 or Float64 (the debugging tool); on CUDA also BFloat16 and Float16.</summary>
    public ScalarType DataType { get; init; } = ScalarType.Float32;

    /// <summary>"cpu" or "cuda:N".</summary>
    public string Device { get; init; } = "cpu";

    /// <summary>Load only the first blocks; null: all.</summary>
    public int? FirstLayers { get; init; }

    /// <summary>A context length other than the config's; rotary models may be given a longer one.</summary>
    public int? ContextLength { get; init; }

    /// <summary>Whether text gets a BOS in front; null: as the family says.</summary>
    public bool? DefaultPrependBos { get; init; }

    /// <summary>With the device's one name: "cuda" and "cuda:0" are the same, and so is a model on them.</summary>
    /// <exception cref="InterpException">UNKNOWN_DEVICE, DEVICE_NOT_PRESENT.</exception>
    internal LoadOptions Resolved() => this with { Device = Devices.Name(Devices.Of(Device)) };
}
