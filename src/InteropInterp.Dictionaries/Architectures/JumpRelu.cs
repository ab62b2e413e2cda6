using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Architectures;

/// <summary>f = ReLU(h) where h is above the feature's threshold, else 0 (Rajamanoharan et al. 2024, "Jumping Ahead").</summary>
public sealed class JumpRelu : Architecture
{
    private readonly Tensor bound;

    /// <param name="threshold">[d_sae], in the dictionary's compute type.</param>
    public JumpRelu(Tensor threshold)
    {
        Threshold = threshold;
        // Nothing below 0 passes the ReLU, whatever the threshold.
        bound = threshold.clamp_min(Scalars.Zero);
    }

    /// <summary>[d_sae].</summary>
    public Tensor Threshold { get; }

    public override string Name => "jumprelu";

    public override Tensor Codes(Tensor preActivations, Tensor? features = null)
    {
        using var scope = NewDisposeScope();
        var bounds = features is null ? bound : bound.index_select(0, features);
        return preActivations.masked_fill(preActivations.le(bounds), Scalars.Zero).MoveToOuterDisposeScope();
    }

    public override Architecture Scaled(Tensor factors) => new JumpRelu(Threshold * factors);

    public override Architecture Scaled(double factor) => new JumpRelu(factor == 1 ? Threshold.alias() : Threshold.Times(factor));

    public override IReadOnlyDictionary<string, Tensor> Tensors => new Dictionary<string, Tensor> { ["threshold"] = Threshold.alias() };

    public override void Check(int width) => InterpException.Require(Threshold.dim() == 1 && Threshold.size(0) == width, "DICTIONARY_SHAPE",
        $"threshold is [{string.Join(", ", Threshold.shape)}]; [{width}] (d_sae) is expected.");

    internal override void Detach()
    {
        Threshold.DetachFromDisposeScope();
        bound.DetachFromDisposeScope();
    }

    private protected override void Release()
    {
        Threshold.Dispose();
        bound.Dispose();
    }
}
