using InteropInterp.Native.Interop;
using InteropInterp.Native.Operators;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Streams.Statistics;

/// <summary>
/// Of each number the tokens at which it is largest, best first, with the tokens around them: "top_values" [unit, k] (NaN where there
/// are fewer), "top_rows" and "top_positions" [unit, k] (-1), "top_tokens" [unit, k, before + 1 + after] (-1 where the row does not
/// reach), "top_before" [1]: how many of those lie before. Of equal ones the earliest. With <see cref="Smallest"/> the names begin with "bottom".
/// </summary>
/// <param name="K">How many.</param>
public sealed record TopExamples(int K) : Statistic
{
    /// <summary>Tokens kept in front of an example.</summary>
    public int Before { get; init; } = 10;

    /// <summary>And behind it.</summary>
    public int After { get; init; } = 5;

    /// <summary>Only what is above this: 0 keeps to a feature's firings and passes over the rest of a sparse code.</summary>
    public double? Above { get; init; }

    /// <summary>Of a row only its best token.</summary>
    public bool OnePerRow { get; init; }

    /// <summary>The smallest instead (<see cref="Above"/> is then of -x).</summary>
    public bool Smallest { get; init; }

    public override string Kind => Smallest ? "bottom" : "top";

    internal override void Check(StreamShape shape)
    {
        Require(K is > 0 and <= 10_000, shape, "TOP_K", $"k is {K}; 1 to 10,000 are expected.");
        Require(Before is >= 0 and <= 10_000 && After is >= 0 and <= 10_000, shape, "TOP_CONTEXT",
            $"a context of {Before} tokens before and {After} after; 0 to 10,000 of each are expected.");
    }

    internal override double Bytes(StreamShape shape) => (double)shape.Width * K * (8 + 8 + 4 + 4.0 * (Before + 1 + After));

    internal override Accumulator Start(StreamShape shape) => new TopExamplesAccumulator(this, shape);
}

/// <summary>
/// A candidate is what is above the worst that its number keeps: one comparison per activation, and of a long stream next to none
/// that is more than that.
/// </summary>
internal sealed unsafe class TopExamplesAccumulator : Accumulator
{
    // How many activations are compared between two looks at the thresholds.
    private const int Numbers = 1 << 20;

    private readonly TopExamples wanted;
    private readonly StreamShape shape;
    private readonly int window;
    private readonly Tensor values, rows, positions, windows;

    public TopExamplesAccumulator(TopExamples wanted, StreamShape shape)
    {
        (this.wanted, this.shape, window) = (wanted, shape, wanted.Before + 1 + wanted.After);
        long width = shape.Width, k = wanted.K;
        // What is not there yet is as small as can be; a row of -1 says so.
        values = Keep("values", Ops.Full([width, k], wanted.Above ?? double.NegativeInfinity, ScalarType.Float64));
        rows = Keep("rows", Ops.Full([width, k], -1, ScalarType.Int64));
        positions = Keep("positions", Ops.Full([width, k], -1, ScalarType.Int32));
        windows = Keep("windows", Ops.Full([width, k, window], -1, ScalarType.Int32));
    }

    public override void Add(Tensor activations, CountedTokens tokens)
    {
        var step = Math.Max(1, Numbers / shape.Width);
        for (var start = 0L; start < activations.size(0); start += step)
        {
            using var scope = NewDisposeScope();
            var part = activations.narrow(0, start, Math.Min(step, activations.size(0) - start));
            if (wanted.Smallest) part = part.neg();
            var worst = values.select(1, wanted.K - 1).contiguous().to(part.dtype, part.device);
            var better = part.gt(worst);
            var places = better.nonzero();
            if (places.size(0) == 0) continue;
            var found = part.masked_select(better).to(ScalarType.Float64).cpu();
            Insert(places.cpu().contiguous(), found, (int)start, tokens);
        }
    }

    public override IEnumerable<KeyValuePair<string, Tensor>> Results()
    {
        var (prefix, missing) = (wanted.Kind, rows.lt(Scalars.IntegerZero));
        using var nothing = double.NaN.ToScalar();
        var shown = (wanted.Smallest ? values.neg() : values).masked_fill(missing, nothing);
        long[] each = [.. shape.Unit, wanted.K];
        yield return Result($"{prefix}_values", shown.view(each));
        yield return Result($"{prefix}_rows", rows.clone().view(each));
        yield return Result($"{prefix}_positions", positions.clone().view(each));
        yield return Result($"{prefix}_tokens", windows.clone().view([.. each, window]));
        yield return Result($"{prefix}_before", tensor([(long)wanted.Before]));
    }

    // Token by token, so that the earlier of two equal ones comes first.
    private void Insert(Tensor places, Tensor found, int start, CountedTokens tokens)
    {
        var at = (long*)Blob.Address(places);
        var value = (double*)Blob.Address(found);
        var bestValues = (double*)Blob.Address(values);
        var bestRows = (long*)Blob.Address(rows);
        var bestPositions = (int*)Blob.Address(positions);
        var bestWindows = (int*)Blob.Address(windows);
        var k = wanted.K;
        for (long i = 0, count = found.numel(); i < count; i++)
        {
            var token = start + (int)at[2 * i];
            var first = at[2 * i + 1] * k;
            // It was above what was kept when the part began; NaN is above nothing.
            if (!(value[i] > bestValues[first + k - 1])) continue;
            var row = tokens.RowOf(token);
            var last = k - 1;
            if (wanted.OnePerRow && IndexOf(row, bestRows + first, k) is var same and >= 0)
            {
                if (!(value[i] > bestValues[first + same])) continue;
                last = same;
            }
            var place = last;
            while (place > 0 && value[i] > bestValues[first + place - 1]) place--;
            for (var j = last; j > place; j--)
            {
                bestValues[first + j] = bestValues[first + j - 1];
                bestRows[first + j] = bestRows[first + j - 1];
                bestPositions[first + j] = bestPositions[first + j - 1];
                new Span<int>(bestWindows + (first + j - 1) * window, window).CopyTo(new Span<int>(bestWindows + (first + j) * window, window));
            }
            bestValues[first + place] = value[i];
            bestRows[first + place] = row;
            bestPositions[first + place] = tokens.PositionOf(token);
            tokens.Window(token, wanted.Before, new Span<int>(bestWindows + (first + place) * window, window));
        }
        GC.KeepAlive(places);
        GC.KeepAlive(found);
    }

    private static int IndexOf(long row, long* rows, int count) => new ReadOnlySpan<long>(rows, count).IndexOf(row);
}
