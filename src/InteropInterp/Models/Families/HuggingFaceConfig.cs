using System.Text.Json;
using System.Text.Json.Nodes;

namespace InteropInterp.Models.Families;

/// <summary>
/// A Hugging Face config.json in either spelling (transformers 4 or 5), read by families. A value of the wrong kind is an error
/// that names it.
/// </summary>
public sealed class HuggingFaceConfig(JsonObject json, string path)
{
    public string Path => path;

    public static HuggingFaceConfig Read(string path)
    {
        try
        {
            return new HuggingFaceConfig(JsonNode.Parse(File.ReadAllText(path))!.AsObject(), path);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or NullReferenceException)
        {
            throw InterpException.DataLoss("BAD_CONFIG", $"'{path}' is not a JSON object: {e.Message}", e);
        }
    }

    /// <summary>The first entry of "architectures", for example GPT2LMHeadModel; null where the file names none.</summary>
    public string? Architecture => (json["architectures"] as JsonArray)?.FirstOrDefault()?.GetValue<string>();

    public string? ModelType => Text("model_type", null);

    public bool Has(string field) => json[field] is not null;

    public int Int(string field) => Value<int>(field, json[field]);
    public int Int(string field, int fallback) => Has(field) ? Int(field) : fallback;
    public double Number(string field) => Value<double>(field, json[field]);
    public double Number(string field, double fallback) => Has(field) ? Number(field) : fallback;
    public bool Flag(string field, bool fallback) => Has(field) ? Value<bool>(field, json[field]) : fallback;
    public string Text(string field) => Value<string>(field, json[field]);
    public string? Text(string field, string? fallback) => Has(field) ? Text(field) : fallback;

    /// <summary>Rotary settings, wherever this file keeps them.</summary>
    /// <param name="oldBase">Where older files keep the base: rope_theta, rotary_emb_base.</param>
    /// <param name="oldFraction">Where older files keep the rotated share of a head: partial_rotary_factor, rotary_pct.</param>
    public RopeParameters Rope(string oldBase = "rope_theta", string oldFraction = "partial_rotary_factor")
    {
        // transformers 5: all in rope_parameters. transformers 4: base and share beside it, the rest in rope_scaling (type or rope_type).
        var rope = json["rope_parameters"] as JsonObject;
        var scaling = rope ?? json["rope_scaling"] as JsonObject;
        double? Get(string name) => scaling?[name] is { } value ? Value<double>($"rope.{name}", value) : null;
        return new RopeParameters
        {
            Type = (scaling?["rope_type"] ?? scaling?["type"])?.GetValue<string>() ?? "default",
            Base = Get("rope_theta") ?? Number("rope_theta", Number(oldBase, 10000)),
            Fraction = Get("partial_rotary_factor") ?? Number(oldFraction, 1),
            Factor = Get("factor"),
            LowFrequencyFactor = Get("low_freq_factor"),
            HighFrequencyFactor = Get("high_freq_factor"),
            OriginalContext = (int?)Get("original_max_position_embeddings"),
            AttentionFactor = Get("attention_factor"),
            Mscale = Get("mscale"),
            MscaleAllDim = Get("mscale_all_dim"),
            BetaFast = Get("beta_fast"),
            BetaSlow = Get("beta_slow"),
            Truncate = scaling?["truncate"]?.GetValue<bool>() ?? true,
        };
    }

    private T Value<T>(string field, JsonNode? node)
    {
        if (node is null) throw InterpException.DataLoss("BAD_CONFIG", $"'{path}' has no {field}.");
        try
        {
            return node.GetValue<T>();
        }
        catch (Exception e) when (e is InvalidOperationException or FormatException)
        {
            throw InterpException.DataLoss("BAD_CONFIG", $"'{path}': {field} is {node.ToJsonString()}; a {typeof(T).Name} was expected.", e);
        }
    }
}
