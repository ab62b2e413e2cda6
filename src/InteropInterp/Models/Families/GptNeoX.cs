using InteropInterp.Models.Weights;

namespace InteropInterp.Models.Families;

/// <summary>
/// GPT-NeoX and Pythia (Black et al. 2022, Biderman et al. 2023; transformers' modeling_gpt_neox): attention and MLP in parallel
/// from two LayerNorms, part of each head rotated, q, k, v interleaved per head.
/// </summary>
public sealed class GptNeoX : IModelFamily
{
    public IReadOnlyList<string> Architectures { get; } = ["GPTNeoXForCausalLM", "gpt_neox"];

    public TransformerConfig Configure(HuggingFaceConfig config)
    {
        var width = config.Int("hidden_size");
        var heads = config.Int("num_attention_heads");
        InterpException.Require(heads > 0 && width % heads == 0, "BAD_CONFIG",
            $"'{config.Path}': hidden_size {width} is no multiple of num_attention_heads {heads}.");
        return config.Rope("rotary_emb_base", "rotary_pct").Apply(new TransformerConfig
        {
            OriginalArchitecture = "GPTNeoXForCausalLM",
            LayerCount = config.Int("num_hidden_layers"),
            ModelWidth = width,
            HeadCount = heads,
            HeadWidth = width / heads,
            MlpWidth = config.Int("intermediate_size"),
            ContextLength = config.Int("max_position_embeddings"),
            VocabularySize = config.Int("vocab_size"),
            Epsilon = config.Number("layer_norm_eps", 1e-5),
            Activation = ActivationNames.FromHuggingFace(config.Text("hidden_act", "gelu")!, config.Path),
            ParallelBlocks = config.Flag("use_parallel_residual", true),
            TiedEmbeddings = config.Flag("tie_word_embeddings", false),
            DefaultPrependBos = false,
        }, config.Path);
    }

    public void Map(WeightMap map, TransformerConfig config)
    {
        map.StripPrefix("gpt_neox.");
        int heads = config.HeadCount, d = config.ModelWidth, head = config.HeadWidth;
        map.TakeEmbedding(config, "embed_in.weight", "embed_out.weight");
        for (var l = 0; l < config.LayerCount; l++)
        {
            string from = $"layers.{l}.", to = $"blocks.{l}.";
            map.TakeNorm(to + "ln1", from + "input_layernorm");
            map.TakeNorm(to + "ln2", from + "post_attention_layernorm");
            for (var i = 0; i < 3; i++)
            {
                var (name, part) = ("QKV"[i], i);
                // query_key_value: [(head, 3, d_head), d].
                map.Add($"{to}attn.W_{name}",
                    r => r[from + "attention.query_key_value.weight"].reshape(heads, 3, head, d).select(1, part).transpose(1, 2));
                map.AddIfPresent($"{to}attn.b_{name}", from + "attention.query_key_value.bias", t => t.reshape(heads, 3, head).select(1, part));
            }
            map.Add(to + "attn.W_O", r => r[from + "attention.dense.weight"].t().reshape(heads, head, d));
            map.AddIfPresent(to + "attn.b_O", from + "attention.dense.bias", t => t);
            map.Add(to + "mlp.W_in", r => r[from + "mlp.dense_h_to_4h.weight"].t());
            map.Take(to + "mlp.b_in", from + "mlp.dense_h_to_4h.bias");
            map.Add(to + "mlp.W_out", r => r[from + "mlp.dense_4h_to_h.weight"].t());
            map.Take(to + "mlp.b_out", from + "mlp.dense_4h_to_h.bias");
        }
        map.TakeNorm("ln_final", "final_layer_norm");
        map.TakeUnembed(config, "embed_out.weight", "embed_in.weight");
    }
}
