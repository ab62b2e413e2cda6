using static TorchSharp.torch;

namespace InteropInterp.Plans.Interventions;

/// <summary>A given value.</summary>
/// <param name="Value">Broadcast to the region; with the region's rank, its first axis is the selected rows.</param>
public sealed record SetOp(Tensor Value) : InterventionOp
{
    public override string Name => "set";

    public override void Check(OpTarget target) => CheckBroadcast(Value, target);

    public override Tensor Apply(Tensor region, OpInput input) => input.Value(Value, region).expand_as(region).clone();
}
