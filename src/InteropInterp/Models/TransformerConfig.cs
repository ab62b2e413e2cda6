using System.Text.Json.Serialization;

namespace InteropInterp.Models;

/// <summary>
/// Everything that decides what a transformer computes: TransformerLens's HookedTransformerConfig, field for field, under its
/// JSON names. One forward pass is driven by it; a model family is a function that fills it in.
/// </summary>
/// <remarks>Defaults are those of TransformerLens 3.9 (config/hooked_transformer_config.py).</remarks>
public sealed record TransformerConfig
{
    [JsonPropertyName("model_name")] public string ModelName { get; init; } = "custom";
    [JsonPropertyName("original_architecture")] public string? OriginalArchitecture { get; init; }
    [JsonPropertyName("tokenizer_name")] public string? TokenizerName { get; init; }

    [JsonPropertyName("n_layers")] public required int LayerCount { get; init; }
    [JsonPropertyName("d_model")] public required int ModelWidth { get; init; }
    [JsonPropertyName("n_ctx")] public required int ContextLength { get; init; }
    [JsonPropertyName("d_head")] public required int HeadWidth { get; init; }
    [JsonPropertyName("n_heads")] public int HeadCount { get; init; } = -1;
    [JsonPropertyName("n_key_value_heads")] public int? KeyValueHeads { get; init; }
    [JsonPropertyName("d_mlp")] public int? MlpWidth { get; init; }
    [JsonPropertyName("d_vocab")] public int VocabularySize { get; init; } = -1;
    [JsonPropertyName("d_vocab_out")] public int OutputVocabularySize { get; init; } = -1;

    /// <summary>relu, gelu, gelu_new, gelu_fast, gelu_pytorch_tanh, silu, solu or solu_ln.</summary>
    [JsonPropertyName("act_fn")] public string? Activation { get; init; }

    [JsonPropertyName("attn_only")] public bool AttentionOnly { get; init; }
    [JsonPropertyName("gated_mlp")] public bool GatedMlp { get; init; }
    [JsonPropertyName("parallel_attn_mlp")] public bool ParallelBlocks { get; init; }

    /// <summary>LN, RMS, LNPre, RMSPre (the latter two without weights: folded), or null for no norm.</summary>
    [JsonPropertyName("normalization_type")] public string? Normalization { get; init; } = "LN";

    [JsonPropertyName("final_rms")] public bool FinalRms { get; init; }
    [JsonPropertyName("uses_rms_norm")] public bool UsesRmsNorm { get; init; }
    [JsonPropertyName("eps")] public double Epsilon { get; init; } = 1e-5;

    /// <summary>"causal" or "bidirectional".</summary>
    [JsonPropertyName("attention_dir")] public string AttentionDirection { get; init; } = "causal";

    [JsonPropertyName("use_attn_scale")] public bool UseAttentionScale { get; init; } = true;

    /// <summary>What scores are divided by; -1: the square root of the head width.</summary>
    [JsonPropertyName("attn_scale")] public double AttentionScale { get; init; } = -1;

    [JsonPropertyName("scale_attn_by_inverse_layer_idx")] public bool ScaleAttentionByInverseLayer { get; init; }
    [JsonPropertyName("attn_scores_soft_cap")] public double ScoresSoftCap { get; init; } = -1;
    [JsonPropertyName("output_logits_soft_cap")] public double LogitsSoftCap { get; init; } = -1;
    [JsonPropertyName("use_local_attn")] public bool UseLocalAttention { get; init; }
    [JsonPropertyName("window_size")] public int? WindowSize { get; init; }

    /// <summary>"global" or "local" per layer; where it is null and local attention is used, every layer is local.</summary>
    [JsonPropertyName("attn_types")] public IReadOnlyList<string>? AttentionTypes { get; init; }

    /// <summary>standard, rotary or shortformer; "none" for a model without positions.</summary>
    [JsonPropertyName("positional_embedding_type")] public string PositionalEmbedding { get; init; } = "standard";

    [JsonPropertyName("rotary_dim")] public int? RotaryWidth { get; init; }
    [JsonPropertyName("rotary_base")] public double RotaryBase { get; init; } = 10000;
    [JsonPropertyName("rotary_adjacent_pairs")] public bool RotaryAdjacentPairs { get; init; }

    /// <summary>Linear scaling: frequencies are divided by it.</summary>
    [JsonPropertyName("rotary_scaling_factor")] public double RotaryScalingFactor { get; init; } = 1;

    [JsonPropertyName("use_NTK_by_parts_rope")] public bool UseNtkByParts { get; init; }
    [JsonPropertyName("NTK_by_parts_low_freq_factor")] public double NtkLowFrequencyFactor { get; init; } = 1;
    [JsonPropertyName("NTK_by_parts_high_freq_factor")] public double NtkHighFrequencyFactor { get; init; } = 4;
    [JsonPropertyName("NTK_by_parts_factor")] public double NtkFactor { get; init; } = 8;
    [JsonPropertyName("NTK_original_ctx_len")] public int NtkOriginalContext { get; init; } = 8192;

    [JsonPropertyName("use_yarn_rope")] public bool UseYarn { get; init; }
    [JsonPropertyName("yarn_factor")] public double YarnFactor { get; init; } = 1;
    [JsonPropertyName("yarn_attention_factor")] public double YarnAttentionFactor { get; init; } = 1;
    [JsonPropertyName("yarn_beta_fast")] public double YarnBetaFast { get; init; } = 32;
    [JsonPropertyName("yarn_beta_slow")] public double YarnBetaSlow { get; init; } = 1;
    [JsonPropertyName("yarn_original_max_position_embeddings")] public int YarnOriginalContext { get; init; } = 4096;
    [JsonPropertyName("yarn_truncate")] public bool YarnTruncate { get; init; } = true;

    /// <summary>Dynamic NTK: the base grows with the longest position once it passes <see cref="TrainingContext"/>.</summary>
    [JsonPropertyName("use_dynamic_ntk_rope")] public bool UseDynamicNtk { get; init; }

    [JsonPropertyName("dynamic_ntk_factor")] public double DynamicNtkFactor { get; init; } = 1;
    [JsonPropertyName("train_seq_length")] public int? TrainingContext { get; init; }

    [JsonPropertyName("tie_word_embeddings")] public bool TiedEmbeddings { get; init; }
    [JsonPropertyName("default_prepend_bos")] public bool DefaultPrependBos { get; init; } = true;

    /// <summary>"gpt2": every W* is drawn from N(0, initializer_range²), biases are zero.</summary>
    [JsonPropertyName("init_mode")] public string InitMode { get; init; } = "gpt2";

    /// <summary>-1: 0.8 / sqrt(d_model).</summary>
    [JsonPropertyName("initializer_range")] public double InitializerRange { get; init; } = -1;

    [JsonPropertyName("seed")] public long? Seed { get; init; }

    /// <summary>Key heads: those of queries where no other number is given.</summary>
    [JsonIgnore] public int KeyHeads => KeyValueHeads ?? HeadCount;

    [JsonIgnore] public bool IsCausal => AttentionDirection == "causal";
    [JsonIgnore] public bool IsRotary => PositionalEmbedding == "rotary";
    [JsonIgnore] public bool IsShortformer => PositionalEmbedding == "shortformer";
    [JsonIgnore] public bool HasPositionTable => PositionalEmbedding is "standard" or "shortformer";
    [JsonIgnore] public bool HasMlp => !AttentionOnly;
    [JsonIgnore] public bool HasNorm => Normalization is not null;

    /// <summary>Norm layers that carry weights, that is: not folded.</summary>
    [JsonIgnore] public bool HasNormWeights => Normalization is "LN" or "RMS";

    [JsonIgnore] public bool IsRms => Normalization is "RMS" or "RMSPre";
    [JsonIgnore] public bool ActivationHasNorm => Activation is not null && Activation.EndsWith("_ln", StringComparison.Ordinal);

    /// <summary>How many leading dimensions of a head are rotated.</summary>
    [JsonIgnore] public int RotatedWidth => RotaryWidth ?? HeadWidth;

    /// <summary>What the scores of a layer are divided by.</summary>
    public double ScoreDivisor(int layer)
    {
        var scale = !UseAttentionScale ? 1 : AttentionScale > 0 ? AttentionScale : Math.Sqrt(HeadWidth);
        return ScaleAttentionByInverseLayer ? scale * (layer + 1) : scale;
    }

    /// <summary>Whether a layer sees only the last <see cref="WindowSize"/> positions.</summary>
    public bool IsLocal(int layer) => UseLocalAttention && (AttentionTypes is null || AttentionTypes[layer % AttentionTypes.Count] == "local");
}
