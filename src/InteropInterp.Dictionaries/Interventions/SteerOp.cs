using InteropInterp.Native.Operators;
using InteropInterp.Plans.Interventions;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Interventions;

/// <summary>x + amount · W_dec[feature]: pushes the activation along a feature's decoder direction, whatever its code.</summary>
/// <param name="Feature">Of 0 to d_sae - 1.</param>
/// <param name="Amount">In units of the decoder row.</param>
public sealed record SteerOp(SparseDictionary Dictionary, int Feature, double Amount) : DictionaryOp(Dictionary)
{
    public override string Name => "steer";

    public override void Check(OpTarget target)
    {
        base.Check(target);
        Dictionary.CheckFeatures([Feature]);
    }

    public override Tensor Apply(Tensor region, OpInput input)
    {
        using var scope = NewDisposeScope();
        var direction = Dictionary.Direction(Feature).to(region.dtype, region.device);
        if (Dictionary.Config.JoinsHeads) direction = direction.view(region.size(-2), region.size(-1));
        return region.PlusScaled(direction, Amount).MoveToOuterDisposeScope();
    }
}
