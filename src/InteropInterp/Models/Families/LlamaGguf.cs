using InteropInterp.Models.Weights;
using InteropInterp.Tensors.Gguf;
using static TorchSharp.torch;

namespace InteropInterp.Models.Families;

/// <summary>
/// A Llama as llama.cpp stores it: metadata instead of a config, blk.N names, and the rows of q and k permuted so that rotary
/// pairs are adjacent (convert_hf_to_gguf.py); undone here, so that the model is the Hugging Face one.
/// </summary>
internal static class LlamaGguf
{
    public static TransformerConfig Configure(GgufFile file)
    {
        var architecture = file.Value<string>("general.architecture");
        if (architecture != "llama")
            throw new InterpException(ErrorCode.Unimplemented, "UNKNOWN_ARCHITECTURE",
                $"'{file.Path}': architecture '{architecture}' is not read from a GGUF; 'llama' is.");
        int Int(string key) => checked((int)file.Value<long>($"llama.{key}"));
        int IntOr(string key, int fallback) => file.Values.ContainsKey($"llama.{key}") ? Int(key) : fallback;
        double NumberOr(string key, double fallback) => file.Values.ContainsKey($"llama.{key}") ? file.Value<double>($"llama.{key}") : fallback;
        if (file.Values.ContainsKey("llama.expert_count") && Int("expert_count") > 0)
            throw new InterpException(ErrorCode.Unimplemented, "UNSUPPORTED_FEATURE", $"'{file.Path}' is a mixture of experts, which is not computed here.");
        if (file.Values.TryGetValue("llama.rope.scaling.type", out var scaling) && scaling is not "none")
            throw new InterpException(ErrorCode.Unimplemented, "UNSUPPORTED_FEATURE", $"'{file.Path}': rope scaling '{scaling}' is not read from a GGUF.");
        if (file.Entries.ContainsKey("rope_freqs.weight"))
            throw new InterpException(ErrorCode.Unimplemented, "UNSUPPORTED_FEATURE", $"'{file.Path}' has own rope frequencies (rope_freqs.weight), which are not read.");

        int heads = Int("attention.head_count"), width = Int("embedding_length"), keyHeads = IntOr("attention.head_count_kv", heads);
        var headWidth = IntOr("attention.key_length", heads > 0 ? width / heads : 0);
        return new TransformerConfig
        {
            OriginalArchitecture = "LlamaForCausalLM",
            ModelName = file.Values.TryGetValue("general.name", out var name) && name is string text ? text : "custom",
            LayerCount = Int("block_count"),
            ModelWidth = width,
            HeadCount = heads,
            KeyValueHeads = keyHeads == heads ? null : keyHeads,
            HeadWidth = headWidth,
            MlpWidth = Int("feed_forward_length"),
            ContextLength = Int("context_length"),
            VocabularySize = file.Entries.TryGetValue("token_embd.weight", out var embedding) ? checked((int)embedding.Shape[0]) : IntOr("vocab_size", 0),
            Epsilon = NumberOr("attention.layer_norm_rms_epsilon", 1e-5),
            Activation = "silu",
            Normalization = "RMS",
            FinalRms = true,
            GatedMlp = true,
            PositionalEmbedding = "rotary",
            RotaryBase = NumberOr("rope.freq_base", 10000),
            RotaryWidth = IntOr("rope.dimension_count", headWidth),
            TiedEmbeddings = !file.Entries.ContainsKey("output.weight"),
        };
    }

    public static void Map(WeightMap map, TransformerConfig config)
    {
        int d = config.ModelWidth, head = config.HeadWidth;
        map.Take("embed.W_E", "token_embd.weight");
        for (var l = 0; l < config.LayerCount; l++)
        {
            string from = $"blk.{l}.", to = $"blocks.{l}.";
            map.Take(to + "ln1.w", from + "attn_norm.weight");
            map.Take(to + "ln2.w", from + "ffn_norm.weight");
            foreach (var (which, theirs) in new[] { ("Q", "q"), ("K", "k"), ("V", "v") })
            {
                var (weight, bias) = WeightNames.Projection(to, which, config);
                var permuted = which != "V";
                map.Add(weight, r => Rows(r[$"{from}attn_{theirs}.weight"].reshape(-1, head, d), permuted).transpose(1, 2));
                map.AddIfPresent(bias, $"{from}attn_{theirs}.bias", t => Rows(t.reshape(-1, head, 1), permuted).squeeze(-1));
            }
            map.Add(to + "attn.W_O", r => r[from + "attn_output.weight"].t().reshape(-1, head, d));
            map.AddIfPresent(to + "attn.b_O", from + "attn_output.bias", t => t);
            map.Add(to + "mlp.W_gate", r => r[from + "ffn_gate.weight"].t());
            map.Add(to + "mlp.W_in", r => r[from + "ffn_up.weight"].t());
            map.Add(to + "mlp.W_out", r => r[from + "ffn_down.weight"].t());
        }
        map.Take("ln_final.w", "output_norm.weight");
        map.TakeUnembed(config, "output.weight", "token_embd.weight");
    }

    // [heads, (pair, 2), d] as stored -> [heads, (2, pair), d] as Hugging Face rotates.
    private static Tensor Rows(Tensor t, bool permuted) => !permuted
        ? t
        : t.reshape(t.size(0), t.size(1) / 2, 2, t.size(2)).transpose(1, 2).reshape(t.size(0), t.size(1), t.size(2));
}
