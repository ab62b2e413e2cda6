using static TorchSharp.torch;

namespace InteropInterp.Plans.Interventions;

/// <summary>The mean activation of a reference run over its rows, and over positions if asked (mean ablation).</summary>
/// <param name="Source">A name in the plan's sources: the reference.</param>
/// <param name="OverPositions">Also average over the reference's positions, so that every position gets the same.</param>
public sealed record MeanOp(string Source, bool OverPositions = false) : InterventionOp
{
    public override string Name => "mean";

    public override SourceRead Reads => new(Source, Positions: OverPositions ? Positions.All : null);

    public override Tensor Apply(Tensor region, OpInput input)
    {
        var mean = input.SourceRegion!.mean(OverPositions ? [0, 1] : [0], keepdim: true);
        InterpException.Require(OverPositions || mean.size(1) == region.size(1) || mean.size(1) == 1, "SOURCE_SHAPE",
            $"mean at '{input.Point.Name}': source '{Source}' has {mean.size(1)} positions, the target {region.size(1)}. Average over positions too, or select as many.");
        return mean.expand_as(region).clone();
    }
}
