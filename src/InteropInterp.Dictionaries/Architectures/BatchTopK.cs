using InteropInterp.Native.Operators;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Architectures;

/// <summary>
/// Trained to keep k features per token on average over a batch; used with the threshold that training estimated, the same for
/// all features, so that a token's codes do not depend on its neighbours (Bussmann et al. 2024, "BatchTopK Sparse Autoencoders").
/// </summary>
/// <param name="Threshold">Codes are 0 up to it.</param>
/// <param name="K">Features per token in training, on average; null where a file does not say.</param>
public sealed class BatchTopK(double Threshold, double? K = null) : Architecture
{
    public double Threshold { get; } = Threshold;

    public double? K { get; } = K;

    public override string Name => "batchtopk";

    public override Tensor Codes(Tensor preActivations, Tensor? features = null)
    {
        using var scope = NewDisposeScope();
        using var bound = Math.Max(0, Threshold).ToScalar();
        return preActivations.masked_fill(preActivations.le(bound), Scalars.Zero).MoveToOuterDisposeScope();
    }

    /// <summary>One threshold becomes many.</summary>
    public override Architecture Scaled(Tensor factors) => new JumpRelu(factors.Times(Threshold));

    public override Architecture Scaled(double factor) => new BatchTopK(Threshold * factor, K);

    public override IReadOnlyDictionary<string, Tensor> Tensors =>
        new Dictionary<string, Tensor> { ["topk_threshold"] = tensor(Threshold, device: CPU) };
}
