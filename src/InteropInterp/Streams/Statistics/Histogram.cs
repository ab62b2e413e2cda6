using InteropInterp.Native.Operators;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Streams.Statistics;

/// <summary>
/// "histogram" [unit, bins]: of each number how many tokens lie between two edges, the last bin with its upper edge (numpy.histogram);
/// "histogram_below" and "histogram_above" [unit]: how many lie outside, what is not a number above; and "histogram_edges".
/// </summary>
/// <param name="Edges">Rising, at least two.</param>
public sealed record Histogram(IReadOnlyList<double> Edges) : Statistic
{
    public override string Kind => "histogram";

    /// <summary>Bins of equal width.</summary>
    public static Histogram Of(double from, double to, int bins)
    {
        InterpException.Require(bins is > 0 and <= 1 << 16 && double.IsFinite(from) && double.IsFinite(to) && from < to, "HISTOGRAM_EDGES",
            $"{bins} bins from {from} to {to}: at least one bin and a rising range are expected.");
        return new Histogram([.. Enumerable.Range(0, bins + 1).Select(i => i == bins ? to : from + (to - from) * i / bins)]);
    }

    internal override void Check(StreamShape shape) => Require(
        Edges.Count > 1 && Edges.All(double.IsFinite) && Edges.Zip(Edges.Skip(1)).All(e => e.First < e.Second), shape, "HISTOGRAM_EDGES",
        $"its {Edges.Count} edges must be at least two numbers that rise.");

    internal override double Bytes(StreamShape shape) => 8.0 * shape.Width * (Edges.Count + 1);

    internal override Accumulator Start(StreamShape shape) => new HistogramAccumulator(Edges, shape);
}

internal sealed class HistogramAccumulator : Accumulator
{
    private const int Numbers = 1 << 21;

    private readonly double[] edges;
    private readonly StreamShape shape;
    private readonly Tensor counts;

    public HistogramAccumulator(IReadOnlyList<double> edges, StreamShape shape)
    {
        (this.edges, this.shape) = ([.. edges], shape);
        counts = Keep("counts", zeros([shape.Width, edges.Count + 1], ScalarType.Int64, shape.Device));
    }

    public override void Add(Tensor values, CountedTokens tokens)
    {
        using var last = edges[^1].ToScalar();
        var borders = tensor(edges, device: shape.Device);
        // Of each number the first of its own bins.
        var own = Ops.Range(shape.Width, shape.Device).mul(tensor(edges.Length + 1L, device: shape.Device));
        var step = Math.Max(1, Numbers / shape.Width);
        for (var start = 0L; start < values.size(0); start += step)
        {
            using var scope = NewDisposeScope();
            var part = values.narrow(0, start, Math.Min(step, values.size(0) - start)).to(ScalarType.Float64);
            // 0 is below the first edge, edges.Length is from the last on.
            var bins = bucketize(part, borders, right: true);
            Count(bins, part.eq(last).to(ScalarType.Int64).neg());
            Count(bins, own);
            Count(counts, bins.flatten().bincount(null, counts.numel()).view(counts.shape));
        }
    }

    public override IEnumerable<KeyValuePair<string, Tensor>> Results()
    {
        long[] unit = [.. shape.Unit];
        yield return Result("histogram", counts.narrow(1, 1, edges.Length - 1).clone().view([.. unit, edges.Length - 1]));
        yield return Result("histogram_below", counts.select(1, 0).clone().view(unit));
        yield return Result("histogram_above", counts.select(1, edges.Length).clone().view(unit));
        yield return Result("histogram_edges", tensor(edges));
    }
}
