using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;

namespace InteropInterp.Models;

/// <summary>A config as TransformerLens writes it: <c>HookedTransformerConfig.to_dict()</c> as JSON.</summary>
public static class TransformerConfigJson
{
    // Features of TransformerLens that this engine does not compute: a file that uses one must not load as something else.
    private static readonly Dictionary<string, string[]> Refused = new()
    {
        ["use_qk_norm"] = ["false"],
        ["use_normalization_before_and_after"] = ["false"],
        ["post_embedding_ln"] = ["false"],
        ["use_attention_sinks"] = ["false"],
        ["use_logn_attn"] = ["false"],
        ["yarn_global_attn_only"] = ["false"],
        ["load_in_4bit"] = ["false"],
        ["num_experts"] = ["null"],
        ["clip_qkv"] = ["null"],
        ["rotary_base_local"] = ["null"],
        ["relative_attention_num_buckets"] = ["null"],
    };

    private static readonly JsonSerializerOptions Options = new()
    {
        WriteIndented = true,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        DefaultIgnoreCondition = JsonIgnoreCondition.Never,
    };

    /// <summary>Reads and completes a config.</summary>
    /// <param name="strict">Refuse unknown field names (a person wrote them) instead of passing over them (a file of some version).</param>
    /// <exception cref="InterpException">INVALID_CONFIG, UNKNOWN_CONFIG_FIELD, UNSUPPORTED_FEATURE.</exception>
    public static TransformerConfig Parse(string json, string name, bool strict = false)
    {
        try
        {
            var node = JsonNode.Parse(json)?.AsObject() ?? throw new JsonException("an object was expected");
            foreach (var (field, neutral) in Refused)
                if (node[field] is { } value && !neutral.Contains(value.ToJsonString()))
                    throw new InterpException(ErrorCode.Unimplemented, "UNSUPPORTED_FEATURE",
                        $"{name}: {field} is {value.ToJsonString()}, which this engine does not compute.");
            if (strict) RefuseUnknown(node);
            // -1 stands for "same as n_heads" in some files.
            return node.Deserialize<TransformerConfig>(Options)!.Complete();
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException)
        {
            throw new InterpException(ErrorCode.InvalidArgument, "INVALID_CONFIG", $"{name} is not a model config: {e.Message}", innerException: e);
        }
    }

    public static string Write(TransformerConfig config) => JsonSerializer.Serialize(config, Options);

    private static void RefuseUnknown(JsonObject node)
    {
        var known = JsonSerializer.SerializeToNode(new TransformerConfig { LayerCount = 0, ModelWidth = 0, ContextLength = 0, HeadWidth = 0 }, Options)!
            .AsObject().Select(p => p.Key).Concat(Refused.Keys).Concat(Passed).ToList();
        foreach (var (field, _) in node)
            if (!known.Contains(field)) throw InterpException.Unknown("UNKNOWN_CONFIG_FIELD", "config field", field, known);
    }

    // Fields of TransformerLens that say nothing about the numbers: view flags, provenance, device.
    private static readonly string[] Passed =
    [
        "use_attn_result", "use_split_qkv_input", "use_hook_mlp_in", "use_attn_in", "use_hook_tokens", "ungroup_grouped_query_attention",
        "layer_norm_folding", "device", "n_devices", "dtype", "n_params", "from_checkpoint", "checkpoint_index", "checkpoint_label_type",
        "checkpoint_value", "tokenizer_prepends_bos", "init_weights", "trust_remote_code", "experts_per_token", "norm_topk_prob",
        "relative_attention_max_distance", "decoder_start_token_id", "quantization_method",
    ];
}
