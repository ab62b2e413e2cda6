using System.Globalization;
using System.Text;
using System.Text.Json;
using InteropInterp.Dictionaries.Architectures;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Formats;

/// <summary>cfg.json byte for byte as SAELens's save_model writes it: Python's json.dump in the order of its dataclass.</summary>
internal static class SaeLensConfigWriter
{
    private static readonly Dictionary<Normalization, string> Normalizations = new()
    {
        [Normalization.None] = "none", [Normalization.ConstantNorm] = "constant_norm_rescale", [Normalization.LayerNorm] = "layer_norm",
    };

    public static string Write(SparseDictionary dictionary, ScalarType storage)
    {
        var config = dictionary.Config;
        var fields = new List<(string Name, string Json)>
        {
            ("d_in", Number(config.InputWidth)),
            ("d_sae", Number(config.Width)),
            ("dtype", Text(TypeName(storage))),
            ("device", Text("cpu")),
            ("apply_b_dec_to_input", Flag(config.SubtractsDecoderBias)),
            ("normalize_activations", Text(Normalizations[config.Normalization])),
            ("reshape_activations", Text(config.JoinsHeads ? "hook_z" : "none")),
            ("metadata", config.Metadata.ValueKind == JsonValueKind.Object ? Value(config.Metadata) : "{}"),
        };
        if (dictionary.Architecture is TopK topK) fields.Add(("k", Number(topK.K)));
        if (dictionary.Architecture is BatchTopK { K: { } k })
            fields.Add(("k", k.ToString("0.0###############", CultureInfo.InvariantCulture)));
        if (dictionary.Architecture is TopK or BatchTopK)
            fields.Add(("rescale_acts_by_decoder_norm", Flag(config.RescalesByDecoderNorm)));
        fields.Add(("architecture", Text(dictionary.Architecture.Name)));
        return $"{{{string.Join(", ", fields.Select(f => $"{Text(f.Name)}: {f.Json}"))}}}";
    }

    private static string TypeName(ScalarType type) => type switch
    {
        ScalarType.Float32 => "float32",
        ScalarType.Float64 => "float64",
        ScalarType.Float16 => "float16",
        ScalarType.BFloat16 => "bfloat16",
        _ => throw InterpException.Invalid("DTYPE_NOT_STORABLE", $"SAELens stores float32, float64, float16 and bfloat16, not {type}."),
    };

    // Numbers keep the spelling they were read with.
    private static string Value(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Object => $"{{{string.Join(", ", element.EnumerateObject().Select(p => $"{Text(p.Name)}: {Value(p.Value)}"))}}}",
        JsonValueKind.Array => $"[{string.Join(", ", element.EnumerateArray().Select(Value))}]",
        JsonValueKind.String => Text(element.GetString()!),
        _ => element.GetRawText(),
    };

    private static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);

    private static string Flag(bool value) => value ? "true" : "false";

    // ensure_ascii: what is not printable ASCII is escaped, beyond the basic plane as a surrogate pair.
    private static string Text(string text)
    {
        var json = new StringBuilder("\"");
        foreach (var c in text)
            json.Append(c switch
            {
                '"' => "\\\"",
                '\\' => "\\\\",
                '\n' => "\\n",
                '\r' => "\\r",
                '\t' => "\\t",
                '\b' => "\\b",
                '\f' => "\\f",
                < ' ' or > '~' => $"\\u{(int)c:x4}",
                _ => c.ToString(),
            });
        return json.Append('"').ToString();
    }
}
