using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Plans.Interventions;

/// <summary>x + factor · value (steering).</summary>
/// <param name="Value">Broadcast to the region; with the region's rank, its first axis is the selected rows.</param>
public sealed record AddOp(Tensor Value, double Factor = 1) : InterventionOp
{
    public override string Name => "add";

    public override void Check(OpTarget target) => CheckBroadcast(Value, target);

    public override Tensor Apply(Tensor region, OpInput input) => region.PlusScaled(input.Value(Value, region), Factor);
}
