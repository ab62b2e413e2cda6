namespace InteropInterp.Models.Weights;

/// <summary>Names and shapes of a TransformerLens state dict (HookedTransformer.state_dict(), buffers left out).</summary>
public static class WeightNames
{
    /// <summary>
    /// The names of a projection's weight and bias: <c>blocks.0.attn.W_K</c>, with an underscore before W and b where keys and
    /// values have fewer heads than queries.
    /// </summary>
    public static (string Weight, string Bias) Projection(string block, string which, TransformerConfig config)
    {
        var mark = which != "Q" && config.KeyValueHeads is not null ? "_" : "";
        return ($"{block}attn.{mark}W_{which}", $"{block}attn.{mark}b_{which}");
    }

    /// <summary>Every name with its shape, in the order TransformerLens lists them.</summary>
    /// <param name="optional">Also the names TransformerLens does not know: biases inside a gated MLP's product.</param>
    public static IEnumerable<(string Name, long[] Shape)> All(TransformerConfig c, bool optional = false)
    {
        long d = c.ModelWidth, h = c.HeadCount, k = c.KeyHeads, w = c.HeadWidth, m = c.MlpWidth ?? 0;
        yield return ("embed.W_E", [c.VocabularySize, d]);
        if (c.HasPositionTable) yield return ("pos_embed.W_pos", [c.ContextLength, d]);
        for (var l = 0; l < c.LayerCount; l++)
        {
            var block = $"blocks.{l}.";
            foreach (var n in Norm(c, block + "ln1", d)) yield return n;
            if (c.HasMlp)
                foreach (var n in Norm(c, block + "ln2", d)) yield return n;
            yield return (Projection(block, "Q", c).Weight, [h, d, w]);
            yield return (Projection(block, "K", c).Weight, [k, d, w]);
            yield return (Projection(block, "V", c).Weight, [k, d, w]);
            yield return (block + "attn.W_O", [h, w, d]);
            yield return (Projection(block, "Q", c).Bias, [h, w]);
            yield return (Projection(block, "K", c).Bias, [k, w]);
            yield return (Projection(block, "V", c).Bias, [k, w]);
            yield return (block + "attn.b_O", [d]);
            if (!c.HasMlp) continue;
            if (c.GatedMlp) yield return (block + "mlp.W_gate", [d, m]);
            yield return (block + "mlp.W_in", [d, m]);
            yield return (block + "mlp.b_in", [m]);
            yield return (block + "mlp.W_out", [m, d]);
            yield return (block + "mlp.b_out", [d]);
            if (c.ActivationHasNorm)
                foreach (var n in Norm(c, block + "mlp.ln", m)) yield return n;
            if (optional && c.GatedMlp)
            {
                yield return (block + "mlp.b_gate", [m]);
                yield return (block + "mlp.b_linear", [m]);
            }
        }
        foreach (var n in Norm(c, "ln_final", d)) yield return n;
        yield return ("unembed.W_U", [d, c.OutputVocabularySize]);
        yield return ("unembed.b_U", [c.OutputVocabularySize]);
    }

    private static IEnumerable<(string, long[])> Norm(TransformerConfig c, string name, long width)
    {
        if (!c.HasNormWeights) yield break;
        yield return (name + ".w", [width]);
        if (!c.IsRms) yield return (name + ".b", [width]);
    }

    /// <summary>Whether a name may be absent and then stands for zeros.</summary>
    public static bool IsBias(string name)
    {
        var last = name[(name.LastIndexOf('.') + 1)..];
        return last.StartsWith("b_", StringComparison.Ordinal) || last.StartsWith("_b_", StringComparison.Ordinal);
    }

    /// <summary>Buffers of HookedTransformer that its state_dict() holds and that carry no information.</summary>
    public static bool IsBuffer(string name) =>
        name.EndsWith("attn.mask", StringComparison.Ordinal) || name.EndsWith("attn.IGNORE", StringComparison.Ordinal)
        || name.EndsWith("attn.rotary_sin", StringComparison.Ordinal) || name.EndsWith("attn.rotary_cos", StringComparison.Ordinal);
}
