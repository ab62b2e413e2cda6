using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Architectures;

/// <summary>f = ReLU(h) (Bricken et al. 2023, "Towards Monosemanticity").</summary>
public sealed class Standard : Architecture
{
    public override string Name => "standard";

    public override Tensor Codes(Tensor preActivations, Tensor? features = null) => preActivations.relu();

    public override Architecture Scaled(Tensor factors) => new Standard();

    public override Architecture Scaled(double factor) => new Standard();
}
