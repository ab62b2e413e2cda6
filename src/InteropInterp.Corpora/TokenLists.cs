using InteropInterp.Streams.Sources;

namespace InteropInterp.Corpora;

/// <summary>Lists of token ids as rows; one that is longer than a row makes several.</summary>
internal sealed class TokenLists : ITokenSource
{
    private readonly Func<IEnumerable<int[]>> lists;
    private readonly Func<string> identity;
    private readonly int[] prefix;

    public TokenLists(Func<IEnumerable<int[]>> lists, Func<string> identity, int rowLength, int? bos)
    {
        (this.lists, this.identity, RowLength, prefix) = (lists, identity, rowLength, bos is { } id ? [id] : []);
        InterpException.Require(rowLength > prefix.Length, "ROW_LENGTH_TOO_SMALL", $"Rows of {rowLength} tokens have no room for text.");
    }

    public string Identity => $"{identity()} rows of {RowLength}, BOS {string.Join("", prefix)}";

    public int RowLength { get; }

    public long? RowCount => null;

    public IEnumerable<int[]> Rows(long from)
    {
        var row = 0L;
        foreach (var list in lists())
            foreach (var chunk in list.Chunk(RowLength - prefix.Length))
                if (row++ >= from) yield return [.. prefix, .. chunk];
    }

    public void Dispose()
    {
    }
}
