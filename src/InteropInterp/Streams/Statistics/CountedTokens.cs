namespace InteropInterp.Streams.Statistics;

/// <summary>The tokens of a batch that count: padding and what the plan leaves out are not among them.</summary>
internal sealed class CountedTokens
{
    private readonly IReadOnlyList<int[]> rows;
    private readonly List<(int Row, int Position)> places = [];

    /// <param name="firstRow">Of the stream.</param>
    /// <param name="firstToken">How many were counted before.</param>
    public CountedTokens(IReadOnlyList<int[]> rows, long firstRow, long firstToken, int skip, IReadOnlySet<int> ignored)
    {
        this.rows = rows;
        (FirstRow, FirstToken, Width) = (firstRow, firstToken, rows.Max(row => row.Length));
        for (var row = 0; row < rows.Count; row++)
            for (var p = skip; p < rows[row].Length; p++)
                if (!ignored.Contains(rows[row][p])) places.Add((row, p));
    }

    public long FirstRow { get; }
    public long FirstToken { get; }

    /// <summary>Positions in the batch.</summary>
    public int Width { get; }

    public int Count => places.Count;

    /// <summary>Where each stands in [rows · positions]; null where they are all of them.</summary>
    public long[]? Flat => places.Count == rows.Count * Width ? null : [.. places.Select(place => (long)place.Row * Width + place.Position)];

    public long[] Positions => [.. places.Select(place => (long)place.Position)];

    public int PositionOf(int token) => places[token].Position;

    /// <summary>The row of the stream.</summary>
    public long RowOf(int token) => FirstRow + places[token].Row;

    /// <summary>The tokens around one, -1 where the row does not reach.</summary>
    /// <param name="into">[before + 1 + after].</param>
    public void Window(int token, int before, Span<int> into)
    {
        var (row, position) = places[token];
        for (var i = 0; i < into.Length; i++)
        {
            var at = position - before + i;
            into[i] = at >= 0 && at < rows[row].Length ? rows[row][at] : -1;
        }
    }
}
