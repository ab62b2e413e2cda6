using System.Text.RegularExpressions;

namespace InteropInterp.Hooks;

/// <summary>Shorthand for hook point names: TransformerLens's utils.get_act_name.</summary>
public static partial class ActivationNames
{
    private static readonly Dictionary<string, string> LayerTypes = new()
    {
        ["a"] = "attn", ["m"] = "mlp", ["b"] = "", ["block"] = "", ["blocks"] = "", ["attention"] = "attn",
    };

    private static readonly Dictionary<string, string> Synonyms = new()
    {
        ["attn"] = "pattern", ["attn_logits"] = "attn_scores", ["key"] = "k", ["query"] = "q", ["value"] = "v",
        ["mlp_pre"] = "pre", ["mlp_mid"] = "mid", ["mlp_post"] = "post",
    };

    private static readonly string[] AttentionNames = ["k", "v", "q", "z", "rot_k", "rot_q", "result", "pattern", "attn_scores"];
    private static readonly string[] MlpNames = ["pre", "post", "mid", "pre_linear"];

    /// <summary>
    /// <c>("q", 3)</c> is blocks.3.attn.hook_q; <c>("k6a")</c> and <c>("pre5")</c> carry layer and type in the name;
    /// <c>("scale", 1, "ln1")</c> is blocks.1.ln1.hook_scale; a full name is returned as it stands.
    /// </summary>
    public static string Expand(string name, int? layer = null, string? layerType = null)
    {
        if ((name.Contains('.', StringComparison.Ordinal) || name.StartsWith("hook_", StringComparison.Ordinal)) && layer is null && layerType is null)
            return name;
        var match = Compact().Match(name);
        if (match.Success)
        {
            name = match.Groups[1].Value;
            layer = int.Parse(match.Groups[2].Value);
            if (match.Groups[3].Length > 0) layerType = match.Groups[3].Value;
        }
        if (layerType is not null && LayerTypes.TryGetValue(layerType, out var type)) layerType = type;
        if (Synonyms.TryGetValue(name, out var synonym)) name = synonym;
        if (AttentionNames.Contains(name)) layerType = "attn";
        if (MlpNames.Contains(name)) layerType = "mlp";
        var prefix = layer is null ? "" : $"blocks.{layer}.";
        if (layerType is not null) prefix += layerType + ".";
        // ln_final is the only norm outside the blocks.
        if (name is ("scale" or "normalized") && layer is null) prefix = "ln_final.";
        return $"{prefix}{(name.StartsWith("hook_", StringComparison.Ordinal) ? "" : "hook_")}{name}".Replace("..", ".", StringComparison.Ordinal);
    }

    [GeneratedRegex(@"^([a-z]+)(\d+)([a-z]?.*)$")]
    private static partial Regex Compact();
}
