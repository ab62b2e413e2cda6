using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Models.Weights;

/// <summary>
/// The rewritings of <see cref="ProcessingOptions"/> (TransformerLens's weight_processing.py), in place on packed weights, so
/// that loading holds a model once. Matrices are [out, in]: what reads a norm is folded along its last axis.
/// </summary>
internal sealed class WeightProcessing(TransformerConfig config, ProcessingOptions options)
{
    private readonly ProcessingOptions steps = options.For(config);

    /// <summary>Whether nothing touches the embedding or the unembedding, so that tied ones may stay one tensor.</summary>
    public bool LeavesEmbeddings => !steps.CenterUnembed && !steps.CenterWritingWeights && (!steps.FoldLayerNorm || !config.HasNormWeights);

    public void Embedding(Tensor embed, Tensor? positions)
    {
        if (!steps.CenterWritingWeights) return;
        Center(embed, -1);
        Center(positions, -1);
    }

    public BlockWeights Block(BlockWeights block)
    {
        if (steps.FoldLayerNorm) block = FoldNorms(block);
        if (steps.CenterWritingWeights)
        {
            // What is written has mean 0 over d_model: the first axis of an [out, in] matrix.
            Center(block.Attention.Output, 0);
            Center(block.Attention.OutputBias, 0);
            Center(block.Mlp?.Out, 0);
            Center(block.Mlp?.OutBias, 0);
        }
        return steps.FoldValueBiases ? block with { Attention = FoldValueBias(block.Attention) } : block;
    }

    public (NormWeights? Norm, Tensor? Bias) Unembedding(NormWeights? norm, Tensor unembed, Tensor? bias)
    {
        if (steps.FoldLayerNorm && norm is not null)
        {
            bias = Fold(norm, unembed, bias);
            norm.Dispose();
            norm = null;
        }
        if (steps.CenterUnembed)
        {
            Center(unembed, 0);
            Center(bias, 0);
        }
        return (norm, bias);
    }

    private BlockWeights FoldNorms(BlockWeights block)
    {
        if (block.Ln1 is { } ln1)
        {
            block = block with { Ln1 = null, Attention = block.Attention with { QkvBias = Fold(ln1, block.Attention.Qkv, block.Attention.QkvBias) } };
            ln1.Dispose();
        }
        if (block.Ln2 is { } ln2)
        {
            // As in TransformerLens, a gate is folded but not centred.
            var gate = config.GatedMlp ? config.MlpWidth!.Value : 0;
            block = block with { Ln2 = null, Mlp = block.Mlp! with { InBias = Fold(ln2, block.Mlp.In, block.Mlp.InBias, notCentred: gate) } };
            ln2.Dispose();
        }
        if (block.Mlp?.Norm is { } inner)
        {
            block = block with { Mlp = block.Mlp with { Norm = null, OutBias = Fold(inner, block.Mlp.Out, block.Mlp.OutBias, rms: false) } };
            inner.Dispose();
        }
        return block;
    }

    // A norm gives (x - mean)/scale · w + b: w goes into the matrix that reads it, b into its bias. What remains has mean 0, so
    // the mean of a matrix row never matters and is taken out. RMS has no mean and no b.
    private Tensor? Fold(NormWeights norm, Tensor matrix, Tensor? bias, long notCentred = 0, bool? rms = null)
    {
        if (norm.Bias is not null)
        {
            var shift = matrix.MatMul(norm.Bias);
            if (bias is null) bias = shift.DetachFromDisposeScope();
            else bias.PlusInPlace(shift);
        }
        matrix.mul_(norm.Weight);
        if (!(rms ?? config.IsRms)) Center(matrix.narrow(0, notCentred, matrix.size(0) - notCentred), -1);
        return bias;
    }

    // Every row of an attention pattern sums to one, so b_V reaches the output as a constant.
    private AttentionWeights FoldValueBias(AttentionWeights a)
    {
        if (a.QkvBias is null) return a;
        long heads = config.KeyHeads, width = config.HeadWidth;
        var values = a.QkvBias.narrow(0, (config.HeadCount + heads) * width, heads * width);
        var each = values.view(heads, width).repeat_interleave(config.HeadCount / heads, 0).flatten();
        var folded = a.Output.MatMul(each);
        values.zero_();
        if (a.OutputBias is null) return a with { OutputBias = folded.DetachFromDisposeScope() };
        a.OutputBias.PlusInPlace(folded);
        return a;
    }

    private static void Center(Tensor? t, int dimension) => t?.sub_(t.mean([dimension], keepdim: true));
}
