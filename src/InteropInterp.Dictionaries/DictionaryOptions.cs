using InteropInterp.Models;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries;

/// <summary>How a dictionary is loaded; part of what identifies it once loaded.</summary>
public sealed record DictionaryOptions
{
    /// <summary>The compute type: Float32 or Float64; on CUDA also BFloat16 and Float16. Files of any type load as these.</summary>
    public ScalarType DataType { get; init; } = ScalarType.Float32;

    /// <summary>"cpu" or "cuda:N".</summary>
    public string Device { get; init; } = "cpu";

    /// <summary>
    /// What activations were multiplied by in training (norm_scaling_factor), folded into the weights. A dictionary with
    /// normalize_activations: expected_average_only_in needs it where no activation_scaler.json lies beside it; 1 gives the
    /// numbers of SAELens, which leaves it out.
    /// </summary>
    public double? ActivationScale { get; init; }

    /// <summary>Pass over config fields that this engine does not know, instead of refusing the file.</summary>
    public bool IgnoreUnknownFields { get; init; }

    // "cuda" and "cuda:0" are the same, and so is a dictionary on them.
    internal DictionaryOptions Resolved() => this with { Device = Devices.Name(Devices.Of(Device)) };
}
