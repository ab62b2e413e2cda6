using InteropInterp.Models.Weights;

namespace InteropInterp.Models.Families;

/// <summary>
/// Llama and its kin (Touvron et al. 2023; transformers' modeling_llama): RMSNorm, rotary positions, grouped keys and values,
/// gated MLP.
/// </summary>
public sealed class Llama : IModelFamily
{
    public IReadOnlyList<string> Architectures { get; } = ["LlamaForCausalLM", "llama"];

    public TransformerConfig Configure(HuggingFaceConfig config)
    {
        var width = config.Int("hidden_size");
        var heads = config.Int("num_attention_heads");
        InterpException.Require(heads > 0 && (config.Has("head_dim") || width % heads == 0), "BAD_CONFIG",
            $"'{config.Path}': hidden_size {width} is no multiple of num_attention_heads {heads}, and there is no head_dim.");
        var keyHeads = config.Int("num_key_value_heads", heads);
        return config.Rope().Apply(new TransformerConfig
        {
            OriginalArchitecture = "LlamaForCausalLM",
            LayerCount = config.Int("num_hidden_layers"),
            ModelWidth = width,
            HeadCount = heads,
            KeyValueHeads = keyHeads == heads ? null : keyHeads,
            HeadWidth = config.Int("head_dim", width / heads),
            MlpWidth = config.Int("intermediate_size"),
            ContextLength = config.Int("max_position_embeddings"),
            VocabularySize = config.Int("vocab_size"),
            Epsilon = config.Number("rms_norm_eps", 1e-6),
            Activation = ActivationNames.FromHuggingFace(config.Text("hidden_act", "silu")!, config.Path),
            Normalization = "RMS",
            FinalRms = true,
            GatedMlp = true,
            TiedEmbeddings = config.Flag("tie_word_embeddings", false),
        }, config.Path);
    }

    public void Map(WeightMap map, TransformerConfig config)
    {
        map.StripPrefix("model.");
        int d = config.ModelWidth, head = config.HeadWidth;
        map.TakeEmbedding(config, "embed_tokens.weight", "lm_head.weight");
        for (var l = 0; l < config.LayerCount; l++)
        {
            string from = $"layers.{l}.", to = $"blocks.{l}.";
            map.Take(to + "ln1.w", from + "input_layernorm.weight");
            map.Take(to + "ln2.w", from + "post_attention_layernorm.weight");
            foreach (var (name, theirs) in new[] { ("Q", "q"), ("K", "k"), ("V", "v") })
            {
                // [heads * d_head, d] -> [heads, d, d_head]; fewer heads for keys and values.
                var (weight, bias) = WeightNames.Projection(to, name, config);
                map.Add(weight, r => r[$"{from}self_attn.{theirs}_proj.weight"].reshape(-1, head, d).transpose(1, 2));
                map.AddIfPresent(bias, $"{from}self_attn.{theirs}_proj.bias", t => t.reshape(-1, head));
            }
            map.Add(to + "attn.W_O", r => r[from + "self_attn.o_proj.weight"].t().reshape(-1, head, d));
            map.AddIfPresent(to + "attn.b_O", from + "self_attn.o_proj.bias", t => t);
            map.Add(to + "mlp.W_gate", r => r[from + "mlp.gate_proj.weight"].t());
            map.Add(to + "mlp.W_in", r => r[from + "mlp.up_proj.weight"].t());
            map.Add(to + "mlp.W_out", r => r[from + "mlp.down_proj.weight"].t());
            map.AddIfPresent(to + "mlp.b_gate", from + "mlp.gate_proj.bias", t => t);
            map.AddIfPresent(to + "mlp.b_linear", from + "mlp.up_proj.bias", t => t);
            map.AddIfPresent(to + "mlp.b_out", from + "mlp.down_proj.bias", t => t);
        }
        map.Take("ln_final.w", "norm.weight");
        map.TakeUnembed(config, "lm_head.weight", "embed_tokens.weight");
    }
}
