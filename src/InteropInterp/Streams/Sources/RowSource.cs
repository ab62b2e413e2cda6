using System.IO.Hashing;
using System.Runtime.InteropServices;

namespace InteropInterp.Streams.Sources;

/// <summary>Rows that are there already.</summary>
public sealed class RowSource : ITokenSource
{
    private readonly IReadOnlyList<int[]> rows;

    /// <exception cref="InterpException">NO_ROWS, EMPTY_ROW.</exception>
    public RowSource(IEnumerable<IReadOnlyList<int>> rows)
    {
        this.rows = [.. rows.Select(row => row.ToArray())];
        InterpException.Require(this.rows.Count > 0, "NO_ROWS", "The stream has 0 rows: there is nothing to run over.");
        if (this.rows.Index().FirstOrDefault(row => row.Item.Length == 0) is { Item: not null } empty)
            throw InterpException.Invalid("EMPTY_ROW", $"Row {empty.Index} of the stream has no tokens; give it at least one.");
    }

    public string Identity
    {
        get
        {
            var hash = new XxHash128();
            foreach (var row in rows)
            {
                hash.Append(BitConverter.GetBytes(row.Length));
                hash.Append(MemoryMarshal.AsBytes(row.AsSpan()));
            }
            return $"rows {Convert.ToHexStringLower(hash.GetCurrentHash())}";
        }
    }

    public int RowLength => rows.Max(row => row.Length);

    public long? RowCount => rows.Count;

    public IEnumerable<int[]> Rows(long from) => rows.Skip((int)Math.Min(from, rows.Count));

    public void Dispose()
    {
    }
}
