using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Plans.Interventions;

/// <summary>
/// Removes the part of x within the span of some directions (directional ablation), or keeps only that part.
/// </summary>
/// <param name="Directions">[count, last axis], linearly independent; orthonormalised here.</param>
/// <param name="Keep">Keep the part within the span instead of removing it.</param>
public sealed record ProjectOp(Tensor Directions, bool Keep = false) : InterventionOp
{
    public override string Name => "project";

    public override void Check(OpTarget target)
    {
        var shape = Directions.shape;
        InterpException.Require(shape.Length == 2 && (target.Shape[^1] == -1 || shape[1] == target.Shape[^1]), "VALUE_SHAPE",
            $"project at '{target.Point.Name}': the directions are [{string.Join(", ", shape)}]; [count, {target.Shape[^1]}] is expected.");
        InterpException.Require(shape[0] <= shape[1], "VALUE_SHAPE",
            $"project at '{target.Point.Name}': {shape[0]} directions cannot be independent in {shape[1]} dimensions.");
    }

    public override Tensor Apply(Tensor region, OpInput input)
    {
        // Q of a QR factorisation: [last axis, count], orthonormal.
        var (basis, _) = linalg.qr(Directions.to(region.dtype, region.device).Wide().t());
        basis = basis.to(region.dtype);
        var within = region.MatMul(basis).MatMul(basis.t());
        return Keep ? within : region - within;
    }
}
