using static TorchSharp.torch;

namespace InteropInterp.Models.Weights;

/// <summary>
/// A model's weights as the forward pass multiplies them: every matrix [out, in] (in memory [in, out], unless it is the embedding too),
/// q, k and v in one, gate and linear part of a gated MLP in one. The TransformerLens shapes are views of these
/// (<see cref="StateDict"/>), so nothing is held twice. Absent biases are null and cost nothing.
/// </summary>
public sealed class ModelWeights : IDisposable
{
    /// <summary>[d_vocab, d_model].</summary>
    public required Tensor Embed { get; init; }

    /// <summary>[n_ctx, d_model].</summary>
    public Tensor? Positions { get; init; }

    public required IReadOnlyList<BlockWeights> Blocks { get; init; }
    public NormWeights? FinalNorm { get; init; }

    /// <summary>[d_vocab_out, d_model]; the embedding itself where the two are tied and unprocessed.</summary>
    public required Tensor Unembed { get; init; }

    /// <summary>[d_vocab_out].</summary>
    public Tensor? UnembedBias { get; init; }

    /// <summary>Every tensor once.</summary>
    public IEnumerable<Tensor> Tensors => new[] { Embed, Positions, ReferenceEquals(Unembed, Embed) ? null : Unembed, UnembedBias }
        .Concat(Blocks.SelectMany(b => b.Tensors)).Concat(FinalNorm?.Tensors ?? [])
        .OfType<Tensor>();

    /// <summary>Bytes held.</summary>
    public long Bytes => Tensors.Sum(t => t.numel() * t.element_size());

    public void Dispose()
    {
        foreach (var tensor in Tensors) tensor.Dispose();
    }
}

/// <summary>The weights of one block.</summary>
public sealed record BlockWeights(NormWeights? Ln1, AttentionWeights Attention, NormWeights? Ln2, MlpWeights? Mlp)
{
    public IEnumerable<Tensor?> Tensors =>
        (Ln1?.Tensors ?? []).Concat(Attention.Tensors).Concat(Ln2?.Tensors ?? []).Concat(Mlp?.Tensors ?? []);

    /// <summary>The same weights, each replaced by another.</summary>
    internal BlockWeights Map(Func<Tensor, Tensor> other) => new(Ln1?.Map(other), Attention.Map(other), Ln2?.Map(other), Mlp?.Map(other));
}

/// <summary>Scale and shift of a norm, each [width].</summary>
public sealed record NormWeights(Tensor Weight, Tensor? Bias) : IDisposable
{
    public IEnumerable<Tensor?> Tensors => [Weight, Bias];

    internal NormWeights Map(Func<Tensor, Tensor> other) => new(other(Weight), Bias is null ? null : other(Bias));

    public void Dispose()
    {
        Weight.Dispose();
        Bias?.Dispose();
    }
}

/// <param name="Qkv">[(heads + 2 key heads) · d_head, d_model]: queries, then keys, then values.</param>
/// <param name="QkvBias">[(heads + 2 key heads) · d_head].</param>
/// <param name="Output">[d_model, heads · d_head].</param>
/// <param name="OutputBias">[d_model].</param>
public sealed record AttentionWeights(Tensor Qkv, Tensor? QkvBias, Tensor Output, Tensor? OutputBias)
{
    public IEnumerable<Tensor?> Tensors => [Qkv, QkvBias, Output, OutputBias];

    internal AttentionWeights Map(Func<Tensor, Tensor> other) =>
        new(other(Qkv), QkvBias is null ? null : other(QkvBias), other(Output), OutputBias is null ? null : other(OutputBias));
}

/// <param name="In">[d_mlp, d_model]; gated: [2 d_mlp, d_model], the gate first.</param>
/// <param name="InBias">[d_mlp] or [2 d_mlp].</param>
/// <param name="PostBias">[d_mlp]: TransformerLens's b_in of a gated MLP, added after the product.</param>
/// <param name="Norm">The norm inside solu_ln.</param>
/// <param name="Out">[d_model, d_mlp].</param>
/// <param name="OutBias">[d_model].</param>
public sealed record MlpWeights(Tensor In, Tensor? InBias, Tensor? PostBias, NormWeights? Norm, Tensor Out, Tensor? OutBias)
{
    public IEnumerable<Tensor?> Tensors => new[] { In, InBias, PostBias, Out, OutBias }.Concat(Norm?.Tensors ?? []);

    internal MlpWeights Map(Func<Tensor, Tensor> other)
    {
        Tensor? Optional(Tensor? t) => t is null ? null : other(t);
        return new(other(In), Optional(InBias), Optional(PostBias), Norm?.Map(other), other(Out), Optional(OutBias));
    }
}
