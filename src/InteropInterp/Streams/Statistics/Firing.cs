using InteropInterp.Native.Operators;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Streams.Statistics;

/// <summary>
/// "firing_count" [unit]: at how many tokens each number is above a threshold; "firing_mean" [unit]: its mean there, NaN where it never
/// is. Divided by "firing_tokens", the count is a feature's density.
/// </summary>
public sealed record Firing(double Above = 0) : Statistic
{
    public override string Kind => "firing";

    internal override double Bytes(StreamShape shape) => 16.0 * shape.Width;

    internal override Accumulator Start(StreamShape shape) => new FiringAccumulator(Above, shape);
}

internal sealed class FiringAccumulator : Accumulator
{
    private readonly double above;
    private readonly StreamShape shape;
    private readonly Tensor tokens, counts, sums;

    public FiringAccumulator(double above, StreamShape shape)
    {
        (this.above, this.shape) = (above, shape);
        tokens = Keep("tokens", zeros(1, ScalarType.Int64));
        counts = Keep("counts", zeros(shape.Width, ScalarType.Int64, shape.Device));
        sums = Keep("sums", zeros(shape.Width, ScalarType.Float64, shape.Device));
    }

    public override void Add(Tensor values, CountedTokens counted)
    {
        using var threshold = above.ToScalar();
        var fires = values.gt(threshold);
        Count(counts, fires.sum([0], type: ScalarType.Int64));
        sums.PlusInPlace(values.where(fires, zeros_like(values)).sum([0], type: ScalarType.Float64));
        Count(tokens, tensor([values.size(0)]));
    }

    public override IEnumerable<KeyValuePair<string, Tensor>> Results()
    {
        long[] unit = [.. shape.Unit];
        yield return Result("firing_tokens", tokens.clone());
        yield return Result("firing_count", counts.clone().view(unit));
        // 0 / 0 is NaN.
        yield return Result("firing_mean", (sums / counts.to(ScalarType.Float64)).view(unit));
    }
}
