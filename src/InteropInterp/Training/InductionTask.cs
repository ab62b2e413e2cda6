using InteropInterp.Randomness;

namespace InteropInterp.Training;

/// <summary>
/// Rows that only copying can predict: BOS, then a segment of random symbols repeated until the row is full. Nothing can be
/// known of a segment's first pass, so only repeats count.
/// </summary>
/// <param name="Symbols">The random tokens are 0 ... Symbols-1.</param>
/// <param name="Bos">The token in front of every row.</param>
/// <param name="Length">Tokens of a row, BOS included.</param>
/// <param name="ShortestSegment">The length of a segment is drawn from this ...</param>
/// <param name="LongestSegment">... to this, both included.</param>
public sealed record InductionTask(int Symbols, int Bos, int Length, int ShortestSegment, int LongestSegment)
{
    /// <summary>Rows <paramref name="first"/> ... of the endless data set that a seed names.</summary>
    /// <returns>
    /// Tokens [rows, Length], and for each of them whether it counts: whether its predecessor stood before it in a pass
    /// already, so that what follows can be copied. The first token of the second pass is no such: that the segment ends there
    /// cannot be known.
    /// </returns>
    public (long[] Tokens, bool[] Counts) Draw(ulong seed, long first, int rows)
    {
        var tokens = new long[(long)rows * Length];
        var counts = new bool[tokens.Length];
        for (var row = 0; row < rows; row++)
        {
            var stream = new CounterDraws(seed, first + row);
            var segment = ShortestSegment + stream.Below(LongestSegment - ShortestSegment + 1);
            var start = row * Length;
            tokens[start] = Bos;
            for (var i = 0; i < Length - 1; i++)
            {
                tokens[start + 1 + i] = i < segment ? stream.Below(Symbols) : tokens[start + 1 + i - segment];
                counts[start + 1 + i] = i > segment;
            }
        }
        return (tokens, counts);
    }
}
