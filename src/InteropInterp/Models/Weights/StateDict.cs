using static TorchSharp.torch;

namespace InteropInterp.Models.Weights;

/// <summary>
/// A model's weights under their TransformerLens names and shapes, as views: <c>blocks.0.attn.W_Q</c> is [head, d_model, d_head].
/// </summary>
public sealed class StateDict(ModelWeights weights, TransformerConfig config)
{
    private readonly IReadOnlyDictionary<string, long[]> shapes = WeightNames.All(config, optional: true)
        .Where(n => !IsAbsent(weights, n.Name)).ToDictionary(n => n.Name, n => n.Shape);

    /// <summary>Names, in TransformerLens's order.</summary>
    public IEnumerable<string> Names => shapes.Keys;

    public IReadOnlyList<long> Shape(string name) => Known(name);

    /// <summary>A view of the weight (zeros where the model has no such bias), in the current scope.</summary>
    /// <exception cref="InterpException">UNKNOWN_WEIGHT.</exception>
    public Tensor this[string name]
    {
        get
        {
            var shape = Known(name);
            return View(name) ?? zeros(shape, weights.Embed.dtype, weights.Embed.device);
        }
    }

    private long[] Known(string name) => shapes.TryGetValue(name, out var shape)
        ? shape
        : throw InterpException.Unknown("UNKNOWN_WEIGHT", "weight", name, shapes.Keys);

    // Biases that TransformerLens does not know are listed only where the model has them.
    private static bool IsAbsent(ModelWeights weights, string name) =>
        (name.EndsWith("mlp.b_gate", StringComparison.Ordinal) || name.EndsWith("mlp.b_linear", StringComparison.Ordinal))
        && weights.Blocks[int.Parse(name.Split('.')[1])].Mlp!.InBias is null;

    private Tensor? View(string name)
    {
        switch (name)
        {
            case "embed.W_E": return weights.Embed.alias();
            case "pos_embed.W_pos": return weights.Positions!.alias();
            case "ln_final.w": return weights.FinalNorm!.Weight.alias();
            case "ln_final.b": return weights.FinalNorm!.Bias?.alias();
            case "unembed.W_U": return weights.Unembed.t();
            case "unembed.b_U": return weights.UnembedBias?.alias();
        }
        var parts = name.Split('.', 3);
        var block = weights.Blocks[int.Parse(parts[1])];
        int h = config.HeadCount, k = config.KeyHeads, w = config.HeadWidth;
        var m = config.MlpWidth ?? 0;
        return parts[2] switch
        {
            "ln1.w" => block.Ln1!.Weight.alias(),
            "ln1.b" => block.Ln1!.Bias?.alias(),
            "ln2.w" => block.Ln2!.Weight.alias(),
            "ln2.b" => block.Ln2!.Bias?.alias(),
            "attn.W_Q" => Heads(block.Attention.Qkv, 0, h),
            "attn.W_K" or "attn._W_K" => Heads(block.Attention.Qkv, h, k),
            "attn.W_V" or "attn._W_V" => Heads(block.Attention.Qkv, h + k, k),
            "attn.b_Q" => HeadBiases(block.Attention.QkvBias, 0, h),
            "attn.b_K" or "attn._b_K" => HeadBiases(block.Attention.QkvBias, h, k),
            "attn.b_V" or "attn._b_V" => HeadBiases(block.Attention.QkvBias, h + k, k),
            "attn.W_O" => block.Attention.Output.view(config.ModelWidth, h, w).permute(1, 2, 0),
            "attn.b_O" => block.Attention.OutputBias?.alias(),
            "mlp.W_gate" => block.Mlp!.In.narrow(0, 0, m).t(),
            "mlp.W_in" => block.Mlp!.In.narrow(0, config.GatedMlp ? m : 0, m).t(),
            "mlp.b_in" => config.GatedMlp ? block.Mlp!.PostBias?.alias() : block.Mlp!.InBias?.alias(),
            "mlp.b_gate" => block.Mlp!.InBias?.narrow(0, 0, m),
            "mlp.b_linear" => block.Mlp!.InBias?.narrow(0, m, m),
            "mlp.W_out" => block.Mlp!.Out.t(),
            "mlp.b_out" => block.Mlp!.OutBias?.alias(),
            "mlp.ln.w" => block.Mlp!.Norm!.Weight.alias(),
            "mlp.ln.b" => block.Mlp!.Norm!.Bias?.alias(),
            _ => throw new InvalidOperationException(name),
        };

        // [count · d_head, d] of the fused matrix -> [count, d, d_head].
        Tensor Heads(Tensor fused, int first, int count) =>
            fused.narrow(0, (long)first * w, (long)count * w).view(count, w, config.ModelWidth).transpose(1, 2);
        Tensor? HeadBiases(Tensor? fused, int first, int count) => fused?.narrow(0, (long)first * w, (long)count * w).view(count, w);
    }
}
