using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Plans.Interventions;

/// <summary>factor · x.</summary>
public sealed record ScaleOp(double Factor) : InterventionOp
{
    public override string Name => "scale";

    public override Tensor Apply(Tensor region, OpInput input) => region.Times(Factor);
}
