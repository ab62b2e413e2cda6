using InteropInterp.Models.Weights;

namespace InteropInterp.Models.Families;

/// <summary>
/// GPT-2 (Radford et al. 2019; transformers' modeling_gpt2): learned positions, LayerNorm before each sublayer, fused qkv stored
/// [in, out], tied embeddings unless the config says otherwise.
/// </summary>
public sealed class Gpt2 : IModelFamily
{
    public IReadOnlyList<string> Architectures { get; } = ["GPT2LMHeadModel", "gpt2"];

    public TransformerConfig Configure(HuggingFaceConfig config)
    {
        var width = config.Int("n_embd");
        var heads = config.Int("n_head");
        InterpException.Require(heads > 0 && width % heads == 0, "BAD_CONFIG", $"'{config.Path}': n_embd {width} is no multiple of n_head {heads}.");
        return new TransformerConfig
        {
            OriginalArchitecture = "GPT2LMHeadModel",
            LayerCount = config.Int("n_layer"),
            ModelWidth = width,
            HeadCount = heads,
            HeadWidth = width / heads,
            MlpWidth = config.Int("n_inner", 4 * width),
            // Configs written by transformers 5 have no n_ctx.
            ContextLength = config.Has("n_positions") ? config.Int("n_positions") : config.Int("n_ctx"),
            VocabularySize = config.Int("vocab_size"),
            Epsilon = config.Number("layer_norm_epsilon", 1e-5),
            Activation = ActivationNames.FromHuggingFace(config.Text("activation_function", "gelu_new")!, config.Path),
            UseAttentionScale = config.Flag("scale_attn_weights", true),
            ScaleAttentionByInverseLayer = config.Flag("scale_attn_by_inverse_layer_idx", false),
            TiedEmbeddings = config.Flag("tie_word_embeddings", true),
        };
    }

    public void Map(WeightMap map, TransformerConfig config)
    {
        map.StripPrefix("transformer.");
        int heads = config.HeadCount, d = config.ModelWidth;
        map.TakeEmbedding(config, "wte.weight", "lm_head.weight");
        map.Take("pos_embed.W_pos", "wpe.weight");
        for (var l = 0; l < config.LayerCount; l++)
        {
            string from = $"h.{l}.", to = $"blocks.{l}.";
            map.TakeNorm(to + "ln1", from + "ln_1");
            map.TakeNorm(to + "ln2", from + "ln_2");
            for (var i = 0; i < 3; i++)
            {
                var (name, part) = ("QKV"[i], i);
                // c_attn: [d, 3 d] as q, k, v side by side; ours: [head, d, d_head].
                map.Add($"{to}attn.W_{name}", r => r[from + "attn.c_attn.weight"].narrow(1, part * d, d).reshape(d, heads, -1).permute(1, 0, 2));
                map.Add($"{to}attn.b_{name}", r => r[from + "attn.c_attn.bias"].narrow(0, part * d, d).reshape(heads, -1));
            }
            map.Add(to + "attn.W_O", r => r[from + "attn.c_proj.weight"].reshape(heads, -1, d));
            map.Take(to + "attn.b_O", from + "attn.c_proj.bias");
            map.Take(to + "mlp.W_in", from + "mlp.c_fc.weight");
            map.Take(to + "mlp.b_in", from + "mlp.c_fc.bias");
            map.Take(to + "mlp.W_out", from + "mlp.c_proj.weight");
            map.Take(to + "mlp.b_out", from + "mlp.c_proj.bias");
        }
        map.TakeNorm("ln_final", "ln_f");
        map.TakeUnembed(config, "lm_head.weight", "wte.weight");
    }
}
