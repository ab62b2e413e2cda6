namespace InteropInterp.Models.Families;

/// <summary>Rotary settings of a Hugging Face config (transformers' modeling_rope_utils), and what they are in ours.</summary>
public sealed record RopeParameters
{
    public required string Type { get; init; }
    public required double Base { get; init; }

    /// <summary>The share of a head that is rotated.</summary>
    public required double Fraction { get; init; }

    public double? Factor { get; init; }
    public double? LowFrequencyFactor { get; init; }
    public double? HighFrequencyFactor { get; init; }
    public int? OriginalContext { get; init; }
    public double? AttentionFactor { get; init; }
    public double? Mscale { get; init; }
    public double? MscaleAllDim { get; init; }
    public double? BetaFast { get; init; }
    public double? BetaSlow { get; init; }
    public bool Truncate { get; init; } = true;

    /// <summary>Writes the settings into a config whose context length and head width are set.</summary>
    public TransformerConfig Apply(TransformerConfig config, string path)
    {
        var c = config with
        {
            PositionalEmbedding = "rotary",
            RotaryBase = Base,
            RotaryWidth = (int)(config.HeadWidth * Fraction),
        };
        switch (Type)
        {
            case "default":
                return c;
            case "linear":
                return c with { RotaryScalingFactor = Required(Factor, "factor", path) };
            case "dynamic":
                var factor = Required(Factor, "factor", path);
                return c with
                {
                    UseDynamicNtk = true,
                    DynamicNtkFactor = factor,
                    TrainingContext = config.ContextLength,
                    // The point of it is to go past the trained length.
                    ContextLength = (int)(config.ContextLength * factor),
                };
            case "llama3":
                return c with
                {
                    UseNtkByParts = true,
                    NtkFactor = Required(Factor, "factor", path),
                    NtkLowFrequencyFactor = Required(LowFrequencyFactor, "low_freq_factor", path),
                    NtkHighFrequencyFactor = Required(HighFrequencyFactor, "high_freq_factor", path),
                    NtkOriginalContext = OriginalContext ?? config.ContextLength,
                };
            case "yarn":
                var original = OriginalContext ?? config.ContextLength;
                var yarn = Factor ?? (double)config.ContextLength / original;
                return c with
                {
                    UseYarn = true,
                    YarnFactor = yarn,
                    YarnOriginalContext = original,
                    YarnBetaFast = BetaFast ?? 32,
                    YarnBetaSlow = BetaSlow ?? 1,
                    YarnTruncate = Truncate,
                    YarnAttentionFactor = AttentionFactor ?? (Mscale is > 0 and var m && MscaleAllDim is > 0 and var all
                        ? YarnScale(yarn, m) / YarnScale(yarn, all)
                        : YarnScale(yarn, 1)),
                };
            default:
                throw new InterpException(ErrorCode.Unimplemented, "UNSUPPORTED_FEATURE",
                    $"'{path}': rope type '{Type}' is not computed here; default, linear, dynamic, llama3 and yarn are.",
                    NearestNames.Find(Type, ["default", "linear", "dynamic", "llama3", "yarn"]));
        }
    }

    private static double YarnScale(double factor, double mscale) => factor <= 1 ? 1 : 0.1 * mscale * Math.Log(factor) + 1;

    private static double Required(double? value, string name, string path) => value
        ?? throw InterpException.DataLoss("BAD_CONFIG", $"'{path}': the rope settings have no {name}.");
}
