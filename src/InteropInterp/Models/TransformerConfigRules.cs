namespace InteropInterp.Models;

/// <summary>Fills in what a config leaves open and refuses what cannot be, naming the field as JSON spells it.</summary>
public static class TransformerConfigRules
{
    private static readonly string[] Activations =
        ["relu", "gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "silu", "solu", "solu_ln"];

    private static readonly string[] Normalizations = ["LN", "LNPre", "RMS", "RMSPre"];
    private static readonly string[] Positions = ["standard", "rotary", "shortformer", "none"];
    private static readonly string[] Directions = ["causal", "bidirectional"];

    /// <summary>The config with every derived field set.</summary>
    /// <exception cref="InterpException">INVALID_CONFIG: names the field, its value, and what it may be.</exception>
    public static TransformerConfig Complete(this TransformerConfig config)
    {
        var c = config;
        Positive(c.LayerCount, "n_layers", allowZero: true);
        Positive(c.ModelWidth, "d_model");
        Positive(c.ContextLength, "n_ctx");
        Positive(c.HeadWidth, "d_head");
        if (c.HeadCount == -1)
        {
            Check(c.ModelWidth % c.HeadWidth == 0, $"d_model ({c.ModelWidth}) must be divisible by d_head ({c.HeadWidth}) where n_heads is not given");
            c = c with { HeadCount = c.ModelWidth / c.HeadWidth };
        }
        Positive(c.HeadCount, "n_heads");
        if (c.KeyValueHeads is { } keyHeads)
        {
            Positive(keyHeads, "n_key_value_heads");
            Check(c.HeadCount % keyHeads == 0, $"n_heads ({c.HeadCount}) must be a multiple of n_key_value_heads ({keyHeads})");
        }
        Positive(c.VocabularySize, "d_vocab");
        if (c.OutputVocabularySize == -1) c = c with { OutputVocabularySize = c.VocabularySize };
        Positive(c.OutputVocabularySize, "d_vocab_out");
        if (c.Normalization is not null) OneOf(c.Normalization, "normalization_type", Normalizations);
        OneOf(c.PositionalEmbedding, "positional_embedding_type", Positions);
        OneOf(c.AttentionDirection, "attention_dir", Directions);
        Check(c.InitMode == "gpt2", $"init_mode is '{c.InitMode}'; 'gpt2' is what there is");
        Check(c.Epsilon > 0, $"eps is {c.Epsilon}; it must be above 0");
        if (c.HasMlp)
        {
            Check(c.Activation is not null, "act_fn must be set unless attn_only is true");
            OneOf(c.Activation!, "act_fn", Activations);
            c = c with { MlpWidth = c.MlpWidth ?? 4 * c.ModelWidth };
            Positive(c.MlpWidth.Value, "d_mlp");
            Check(!(c.GatedMlp && c.ActivationHasNorm), $"act_fn '{c.Activation}' cannot be gated");
        }
        if (c.UseLocalAttention)
        {
            Check(c.WindowSize > 0, "use_local_attn needs a window_size above 0");
            foreach (var type in c.AttentionTypes ?? []) OneOf(type, "attn_types", ["global", "local"]);
        }
        if (c.IsRotary)
        {
            Check(c.RotatedWidth > 0 && c.RotatedWidth <= c.HeadWidth && c.RotatedWidth % 2 == 0,
                $"rotary_dim is {c.RotatedWidth}; it must be even and at most d_head ({c.HeadWidth})");
            Check(c.RotaryBase > 0, $"rotary_base is {c.RotaryBase}; it must be above 0");
            c = c with { RotaryWidth = c.RotatedWidth };
        }
        if (c.InitializerRange < 0) c = c with { InitializerRange = 0.8 / Math.Sqrt(c.ModelWidth) };
        if (c.UseAttentionScale && c.AttentionScale <= 0) c = c with { AttentionScale = Math.Sqrt(c.HeadWidth) };
        return c;
    }

    private static void Positive(int value, string field, bool allowZero = false) =>
        Check(value > 0 || (allowZero && value == 0), $"{field} is {value}; it must be above 0");

    private static void OneOf(string value, string field, string[] valid)
    {
        if (valid.Contains(value)) return;
        throw new InterpException(ErrorCode.InvalidArgument, "INVALID_CONFIG",
            $"{field} is '{value}'; it may be {string.Join(", ", valid)}.", NearestNames.Find(value, valid));
    }

    private static void Check(bool condition, string message) => InterpException.Require(condition, "INVALID_CONFIG", message + ".");
}
