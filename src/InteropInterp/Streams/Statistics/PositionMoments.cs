using InteropInterp.Native.Operators;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Streams.Statistics;

/// <summary>
/// The same position by position: "position_count" [pos], "position_mean" and "position_variance" [pos, unit], NaN where nothing was
/// counted. What mean ablation
/// takes where positions mean something.
/// </summary>
public sealed record PositionMoments(bool WithVariance = false) : Statistic
{
    public override string Kind => "position_moments";

    internal override double Bytes(StreamShape shape) => 8.0 * shape.RowLength * (1 + shape.Width * (WithVariance ? 2.0 : 1));

    internal override Accumulator Start(StreamShape shape) => new PositionMomentsAccumulator(WithVariance, shape);
}

internal sealed class PositionMomentsAccumulator : Accumulator
{
    private readonly StreamShape shape;
    private readonly Tensor count, mean;
    private readonly Tensor? squares;

    public PositionMomentsAccumulator(bool withVariance, StreamShape shape)
    {
        this.shape = shape;
        // Whole numbers, in the type they are divided in.
        count = Keep("count", zeros(shape.RowLength, ScalarType.Float64, shape.Device));
        mean = Keep("mean", zeros([shape.RowLength, shape.Width], ScalarType.Float64, shape.Device));
        squares = withVariance ? Keep("squares", zeros_like(mean)) : null;
    }

    public override void Add(Tensor values, CountedTokens tokens)
    {
        var positions = tensor(tokens.Positions, device: shape.Device);
        var wide = values.to(ScalarType.Float64);
        var added = positions.bincount(null, shape.RowLength).to(ScalarType.Float64);
        var center = Sums(positions, wide) / Divisor(added);
        // Where no token of the batch stands, its mean has no weight.
        var apart = center - mean;
        var total = Divisor(count.Plus(added));
        var share = added.unsqueeze(1) / total;
        if (squares is not null)
        {
            var deviations = wide - center.index_select(0, positions);
            squares.PlusInPlace(Sums(positions, deviations.square())).PlusInPlace(apart.square() * share * count.unsqueeze(1));
        }
        mean.PlusInPlace(apart * share);
        count.PlusInPlace(added);
    }

    public override IEnumerable<KeyValuePair<string, Tensor>> Results()
    {
        long[] unit = [shape.RowLength, .. shape.Unit];
        yield return Result("position_count", count.to(ScalarType.Int64));
        using var nothing = double.NaN.ToScalar();
        var missing = count.eq(Scalars.Zero).unsqueeze(1);
        yield return Result("position_mean", mean.masked_fill(missing, nothing).view(unit));
        if (squares is not null) yield return Result("position_variance", (squares / Divisor(count)).masked_fill(missing, nothing).view(unit));
    }

    private Tensor Sums(Tensor positions, Tensor wide) => zeros_like(mean).index_add_(0, positions, wide, Scalars.One);

    private static Tensor Divisor(Tensor counts) => counts.clamp_min(Scalars.One).unsqueeze(1);
}
