using InteropInterp.Randomness;
using static TorchSharp.torch;

namespace InteropInterp.Plans.Interventions;

/// <summary>
/// At each row and position one of some given activations, drawn at random (resample ablation): a stream's samples. Draws are keyed by
/// (seed, row, place among the selected positions, decode step) and are the same at every point, so that what was sampled together
/// stays together.
/// </summary>
/// <param name="Samples">[samples, heads (where there are), last axis] of what is selected.</param>
public sealed record ResampleOp(Tensor Samples) : InterventionOp
{
    /// <summary>Null: the plan's.</summary>
    public ulong? Seed { get; init; }

    public override string Name => "resample";

    /// <exception cref="InterpException">VALUE_SHAPE.</exception>
    public override void Check(OpTarget target)
    {
        var shape = Samples.shape;
        var fits = shape.Length == target.Shape.Count - 1 && shape[0] > 0
            && shape.Skip(1).Zip(target.Shape.Skip(2)).All(size => size.First == size.Second);
        InterpException.Require(fits, "VALUE_SHAPE",
            $"resample at '{target.Point.Name}': the samples are [{string.Join(", ", shape)}]; "
            + $"[samples, {string.Join(", ", target.Shape.Skip(2).Select((s, i) => s == -1 ? target.AxisNames[i + 2] : $"{s}"))}] is expected.");
    }

    public override Tensor Apply(Tensor region, OpInput input)
    {
        var (positions, count) = ((int)region.size(1), (int)Samples.size(0));
        var drawn = new long[input.Rows.Count * positions];
        for (var i = 0; i < input.Rows.Count; i++)
        {
            var draws = new CounterDraws((Seed ?? input.Seed) ^ (ulong)input.Step << 32, input.Rows[i]);
            for (var p = 0; p < positions; p++) drawn[i * positions + p] = draws.Below(count);
        }
        var picked = Samples.to(region.dtype, region.device).index_select(0, tensor(drawn, device: region.device));
        return picked.view(region.shape);
    }
}
