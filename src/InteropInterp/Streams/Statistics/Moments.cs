using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Streams.Statistics;

/// <summary>Up to which moment.</summary>
public enum Moment
{
    Mean,

    /// <summary>And the mean.</summary>
    Variance,

    /// <summary>And variance and mean. [width, width] numbers.</summary>
    Covariance,
}

/// <summary>
/// "count", "mean", "variance" [unit] and "covariance" [width, width] over all tokens, divided by their number; gathered in float64,
/// each batch about its own mean and merged from centred sums (Chan, Golub and LeVeque 1983), so that a mean far from zero costs no
/// digits.
/// </summary>
public sealed record Moments(Moment UpTo = Moment.Mean) : Statistic
{
    public override string Kind => "moments";

    internal override double Bytes(StreamShape shape) => 8.0 * shape.Width * (UpTo switch
    {
        Moment.Mean => 1,
        Moment.Variance => 2,
        _ => 1 + shape.Width,
    });

    internal override Accumulator Start(StreamShape shape) => new MomentsAccumulator(UpTo, shape);
}

internal sealed class MomentsAccumulator : Accumulator
{
    // What is held in float64 at a time: 32 MiB.
    private const int Numbers = 1 << 22;

    private readonly Moment upTo;
    private readonly StreamShape shape;
    private readonly Tensor count, mean;
    private readonly Tensor? squares;

    public MomentsAccumulator(Moment upTo, StreamShape shape)
    {
        (this.upTo, this.shape) = (upTo, shape);
        count = Keep("count", zeros(1, ScalarType.Int64));
        mean = Keep("mean", zeros(shape.Width, ScalarType.Float64, shape.Device));
        squares = upTo switch
        {
            Moment.Mean => null,
            Moment.Variance => Keep("squares", zeros(shape.Width, ScalarType.Float64, shape.Device)),
            _ => Keep("squares", zeros([shape.Width, shape.Width], ScalarType.Float64, shape.Device)),
        };
    }

    public override void Add(Tensor values, CountedTokens tokens)
    {
        var step = Math.Max(1, Numbers / shape.Width);
        for (var start = 0L; start < values.size(0); start += step)
        {
            using var scope = NewDisposeScope();
            Merge(values.narrow(0, start, Math.Min(step, values.size(0) - start)));
        }
    }

    public override IEnumerable<KeyValuePair<string, Tensor>> Results()
    {
        long[] unit = [.. shape.Unit];
        var divisor = (double)Math.Max(1, count.item<long>());
        yield return Result("count", count.clone());
        yield return Result("mean", mean.clone().view(unit));
        if (squares is null) yield break;
        var second = squares.DividedBy(divisor);
        yield return Result("variance", (upTo == Moment.Variance ? second : second.diagonal().clone()).view(unit));
        if (upTo == Moment.Covariance) yield return Result("covariance", second);
    }

    private void Merge(Tensor part)
    {
        double before = count.item<long>(), added = part.size(0), total = before + added;
        var wide = upTo == Moment.Mean ? null : part.to(ScalarType.Float64);
        var center = (wide ?? part).sum([0], type: ScalarType.Float64).DividedBy(added);
        var apart = center - mean;
        if (wide is not null)
        {
            var deviations = wide - center;
            if (upTo == Moment.Variance)
                squares!.PlusInPlace(deviations.square().sum([0])).PlusInPlace(apart.square().Times(before * added / total));
            else
                squares!.PlusInPlace(deviations.t().MatMul(deviations)).PlusInPlace(apart.outer(apart).Times(before * added / total));
        }
        mean.PlusInPlace(apart.Times(added / total));
        Count(count, tensor([part.size(0)]));
    }
}
