using static TorchSharp.torch;

namespace InteropInterp.Plans.Interventions;

/// <summary>Zeros (zero ablation).</summary>
public sealed record ZeroOp : InterventionOp
{
    public override string Name => "zero";

    public override Tensor Apply(Tensor region, OpInput input) => zeros_like(region);
}
