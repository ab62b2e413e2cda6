using InteropInterp.Models.Weights;

namespace InteropInterp.Models;

/// <summary>Files that hold a TransformerLens state dict under its own names.</summary>
internal static class TransformerLensLayout
{
    /// <exception cref="InterpException">UNEXPECTED_WEIGHT: a name the config has no place for, so that config and file do not belong together.</exception>
    public static void Map(WeightMap map, TransformerConfig config)
    {
        var names = WeightNames.All(config, optional: true).Select(n => n.Name).ToHashSet();
        foreach (var name in map.Source.Entries.Keys)
        {
            if (names.Contains(name)) map.Take(name, name);
            else if (!WeightNames.IsBuffer(name) && !IsCut(name, config))
                throw new InterpException(ErrorCode.DataLoss, "UNEXPECTED_WEIGHT",
                    $"The state dict has '{name}', for which a model with this config (normalization_type {config.Normalization ?? "null"}, " +
                    $"positional_embedding_type {config.PositionalEmbedding}, n_key_value_heads {config.KeyValueHeads?.ToString() ?? "null"}) has no place.",
                    NearestNames.Find(name, names));
        }
    }

    // Blocks beyond those that are loaded.
    private static bool IsCut(string name, TransformerConfig config)
    {
        var parts = name.Split('.');
        return parts.Length > 2 && parts[0] == "blocks" && int.TryParse(parts[1], out var layer) && layer >= config.LayerCount;
    }
}
