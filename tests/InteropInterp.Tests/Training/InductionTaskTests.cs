using InteropInterp.Training;

namespace InteropInterp.Tests.Training;

public class InductionTaskTests
{
    private static readonly InductionTask Task = new(Symbols: 48, Bos: 48, Length: 49, ShortestSegment: 10, LongestSegment: 23);

    [Fact]
    public void Rows_are_a_bos_and_a_repeated_segment_and_only_what_can_be_copied_counts()
    {
        var (tokens, counts) = Task.Draw(seed: 3, first: 0, rows: 500);
        var segments = new HashSet<int>();
        var used = new HashSet<long>();
        for (var r = 0; r < 500; r++)
        {
            var row = tokens.AsSpan(r * 49, 49);
            var counted = counts.AsSpan(r * 49, 49);
            // The first token that counts is the second of the second pass.
            var segment = counted.IndexOf(true) - 2;
            segments.Add(segment);
            Assert.Equal(48, row[0]);
            for (var i = 1; i < 49; i++)
            {
                Assert.InRange(row[i], 0, 47);
                used.Add(row[i]);
                Assert.Equal(i > segment + 1, counted[i]);
                if (i > segment) Assert.Equal(row[i - segment], row[i]);
            }
        }
        Assert.Equal(Enumerable.Range(10, 14), segments.Order());
        Assert.Equal(48, used.Count);
    }

    [Fact]
    public void A_row_depends_on_its_seed_and_number_alone()
    {
        var (all, _) = Task.Draw(5, 0, 8);
        var (part, _) = Task.Draw(5, 6, 2);
        Assert.Equal(all[(6 * 49)..], part);
        Assert.NotEqual(all, Task.Draw(6, 0, 8).Tokens);
    }
}
