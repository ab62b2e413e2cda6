using InteropInterp.Plans;
using InteropInterp.Randomness;

namespace InteropInterp.Heads;

/// <summary>
/// Rows of random tokens that occur twice: BOS (where there is one), a segment, the segment again. What a model predicts better
/// the second time it has copied.
/// </summary>
/// <param name="Rows">Equally long.</param>
/// <param name="Period">Tokens of a segment: how far apart the two occurrences of a token are.</param>
/// <param name="Start">Where the first segment starts: 1 behind a BOS, else 0.</param>
public sealed record RepeatedTokens(IReadOnlyList<Row> Rows, int Period, int Start)
{
    /// <summary>Rows of segments that are given.</summary>
    /// <param name="segments">Of equal length.</param>
    public static RepeatedTokens Of(IReadOnlyList<int[]> segments, int? bos) =>
        new(Join(segments, segments, bos), segments[0].Length, bos is null ? 0 : 1);

    /// <summary>A row of two segments each.</summary>
    public static IReadOnlyList<Row> Join(IReadOnlyList<int[]> first, IReadOnlyList<int[]> second, int? bos) =>
        [.. first.Zip(second, (a, b) => new Row([.. bos is { } id ? [id] : Array.Empty<int>(), .. a, .. b]))];

    /// <summary>Segments of random tokens, each of <paramref name="candidates"/> as likely at every place.</summary>
    /// <param name="first">The number of the first: a segment depends on seed and number.</param>
    public static IReadOnlyList<int[]> Segments(ulong seed, long first, int count, int length, IReadOnlyList<int> candidates)
    {
        InterpException.Require(count > 0 && length > 1, "INVALID_OPTION",
            $"{count} segments of {length} tokens: at least one of at least two is needed.");
        InterpException.Require(candidates.Count > 1, "INVALID_OPTION", "Random tokens are drawn from at least two.");
        var segments = new int[count][];
        for (var i = 0; i < count; i++)
        {
            var draws = new CounterDraws(seed, first + i);
            segments[i] = new int[length];
            for (var p = 0; p < length; p++) segments[i][p] = candidates[draws.Below(candidates.Count)];
        }
        return segments;
    }
}
