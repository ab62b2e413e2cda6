using System.Text.Json;

namespace InteropInterp.Dictionaries;

/// <summary>What is known of a dictionary beside its weights and its architecture.</summary>
public sealed record DictionaryConfig
{
    /// <summary>d_in: entries of one activation, all heads together where <see cref="JoinsHeads"/>.</summary>
    public required int InputWidth { get; init; }

    /// <summary>d_sae: features.</summary>
    public required int Width { get; init; }

    /// <summary>Subtract b_dec before encoding (apply_b_dec_to_input).</summary>
    public bool SubtractsDecoderBias { get; init; } = true;

    public Normalization Normalization { get; init; }

    /// <summary>
    /// Activations come as [..., heads, d_head] and are seen as [..., heads · d_head]
    /// (reshape_activations: hook_z).
    /// </summary>
    public bool JoinsHeads { get; init; }

    /// <summary>
    /// Codes are in units of the decoder rows' norms: pre-activations are multiplied by them, decoding divides by them
    /// (rescale_acts_by_decoder_norm).
    /// </summary>
    public bool RescalesByDecoderNorm { get; init; }

    /// <summary>Where it came from, as the file says it: model_name, hook_name, training details. An object, or undefined.</summary>
    public JsonElement Metadata { get; init; }

    /// <summary>The hook point it was trained on; null where the file does not say.</summary>
    public string? HookName => Text("hook_name");

    /// <summary>The one head it was trained on; null: whatever the point gives.</summary>
    public int? HookHeadIndex => Metadata.ValueKind == JsonValueKind.Object && Metadata.TryGetProperty("hook_head_index", out var value)
        && value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var index) ? index : null;

    private string? Text(string name) => Metadata.ValueKind == JsonValueKind.Object && Metadata.TryGetProperty(name, out var value)
        && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
}
