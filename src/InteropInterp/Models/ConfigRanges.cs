namespace InteropInterp.Models;

/// <summary>Refuses layers, heads and tokens that a model does not have.</summary>
internal static class ConfigRanges
{
    /// <exception cref="InterpException">LAYER_OUT_OF_RANGE.</exception>
    public static void CheckLayer(this TransformerConfig config, int layer) => Check("layer", layer, config.LayerCount, "the model has");

    /// <exception cref="InterpException">HEAD_OUT_OF_RANGE.</exception>
    public static void CheckHead(this TransformerConfig config, int head) => Check("head", head, config.HeadCount, "a layer has");

    /// <exception cref="InterpException">TOKEN_OUT_OF_RANGE.</exception>
    public static void CheckToken(this TransformerConfig config, int token) => Check("token", token, config.VocabularySize, "the vocabulary has");

    /// <summary>A token that is predicted.</summary>
    /// <exception cref="InterpException">TOKEN_OUT_OF_RANGE.</exception>
    public static void CheckPredicted(this TransformerConfig config, long token) =>
        Check("token", token, config.OutputVocabularySize, "the model predicts");

    private static void Check(string what, long index, int count, string whose)
    {
        if (index < 0 || index >= count)
            throw InterpException.OutOfRange($"{what.ToUpperInvariant()}_OUT_OF_RANGE", $"The {what} {index} is out of range: {whose} {count}.");
    }
}
