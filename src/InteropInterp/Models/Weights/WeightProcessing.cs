using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Models.Weights;

/// <summary>
/// The rewritings, one block at a time, as pure functions over tensors in TransformerLens shapes (weight_processing.py). They
/// run on whatever part of the state dict is given, so that loading needs one block beside the finished weights.
/// </summary>
internal sealed class WeightProcessing(TransformerConfig config, ProcessingOptions options)
{
    private readonly ProcessingOptions steps = options.For(config);

    public void Embedding(Dictionary<string, Tensor> w)
    {
        if (!steps.CenterWritingWeights) return;
        Center(w, "embed.W_E");
        Center(w, "pos_embed.W_pos");
    }

    public void Block(Dictionary<string, Tensor> w, string block)
    {
        if (steps.FoldLayerNorm) FoldBlockNorms(w, block);
        if (steps.CenterWritingWeights)
            foreach (var name in new[] { "attn.W_O", "attn.b_O", "mlp.W_out", "mlp.b_out" }) Center(w, block + name);
        if (steps.FoldValueBiases) FoldValueBias(w, block);
    }

    public void Unembedding(Dictionary<string, Tensor> w)
    {
        if (steps.FoldLayerNorm)
        {
            var scale = Take(w, "ln_final.w");
            var shift = Take(w, "ln_final.b");
            if (shift is not null) AddTo(w, "unembed.b_U", shift.matmul(w["unembed.W_U"]));
            if (scale is not null) w["unembed.W_U"] = w["unembed.W_U"] * scale.unsqueeze(-1);
            if (!config.IsRms && scale is not null) CenterRows(w, "unembed.W_U", 0);
        }
        if (!steps.CenterUnembed) return;
        CenterRows(w, "unembed.W_U", 1);
        if (w.TryGetValue("unembed.b_U", out var bias)) w["unembed.b_U"] = bias - bias.mean();
    }

    // LN output is (x - mean)/scale · w + b: w and b move into whatever reads it. What remains has mean 0, so the mean over
    // d_model of a reading matrix never matters and is taken out. RMS has no mean and no b.
    private void FoldBlockNorms(Dictionary<string, Tensor> w, string block)
    {
        var scale = Take(w, block + "ln1.w");
        var shift = Take(w, block + "ln1.b");
        foreach (var which in new[] { "Q", "K", "V" })
        {
            var (weight, bias) = WeightNames.Projection(block, which, config);
            if (shift is not null) AddTo(w, bias, (w[weight] * shift.unsqueeze(-1)).sum(1));
            FoldScale(w, weight, scale, dimension: 1);
        }
        if (!config.HasMlp) return;
        scale = Take(w, block + "ln2.w");
        shift = Take(w, block + "ln2.b");
        if (config.GatedMlp)
        {
            // TransformerLens adds b_in after the product; a folded shift belongs before it.
            if (shift is not null)
            {
                AddTo(w, block + "mlp.b_gate", shift.matmul(w[block + "mlp.W_gate"]));
                AddTo(w, block + "mlp.b_linear", shift.matmul(w[block + "mlp.W_in"]));
            }
            FoldScale(w, block + "mlp.W_gate", scale, dimension: 0, center: false);
        }
        else if (shift is not null) AddTo(w, block + "mlp.b_in", shift.matmul(w[block + "mlp.W_in"]));
        FoldScale(w, block + "mlp.W_in", scale, dimension: 0);

        scale = Take(w, block + "mlp.ln.w");
        shift = Take(w, block + "mlp.ln.b");
        if (shift is not null) AddTo(w, block + "mlp.b_out", shift.matmul(w[block + "mlp.W_out"]));
        FoldScale(w, block + "mlp.W_out", scale, dimension: 0);
    }

    private void FoldScale(Dictionary<string, Tensor> w, string name, Tensor? scale, int dimension, bool center = true)
    {
        if (scale is null) return;
        w[name] = w[name] * scale.unsqueeze(-1);
        if (center && !config.IsRms) CenterRows(w, name, dimension);
    }

    // Every row of an attention pattern sums to one, so b_V reaches the output as a constant.
    private void FoldValueBias(Dictionary<string, Tensor> w, string block)
    {
        var name = WeightNames.Projection(block, "V", config).Bias;
        var bias = Take(w, name);
        if (bias is null) return;
        // [heads, d_head] against [heads, d_head, d].
        if (config.KeyHeads != config.HeadCount) bias = bias.repeat_interleave(config.HeadCount / config.KeyHeads, 0);
        AddTo(w, block + "attn.b_O", (bias.unsqueeze(-1) * w[block + "attn.W_O"]).sum(new long[] { 0, 1 }));
    }

    private static void Center(Dictionary<string, Tensor> w, string name)
    {
        if (w.TryGetValue(name, out var t)) w[name] = t - t.mean([-1], keepdim: true);
    }

    private static void CenterRows(Dictionary<string, Tensor> w, string name, int dimension) =>
        w[name] = w[name] - w[name].mean([dimension], keepdim: true);

    private static Tensor? Take(Dictionary<string, Tensor> w, string name) => w.Remove(name, out var t) ? t : null;

    private static void AddTo(Dictionary<string, Tensor> w, string name, Tensor value) =>
        w[name] = w.TryGetValue(name, out var t) ? t.Plus(value) : value;
}
