using InteropInterp.Plans;

namespace InteropInterp.Dictionaries.Interventions;

/// <summary>Selectors for dictionaries that leave some tokens alone, such as padding or BOS (SAELens's exclude_special_tokens).</summary>
public static class TokenSelectors
{
    /// <summary>
    /// Selectors that together select every position that holds none of some tokens: one for all rows that keep the same
    /// positions. An intervention for each does what one over a mask would.
    /// </summary>
    /// <param name="excluded">Token ids.</param>
    public static IReadOnlyList<Selector> Except(IReadOnlyList<Row> rows, IReadOnlyCollection<int> excluded)
    {
        var ids = excluded.ToHashSet();
        int[] Kept(Row row) => [.. Enumerable.Range(0, row.Length).Where(p => !ids.Contains(row.Tokens[p]))];
        return
        [
            .. rows.Select((row, index) => (Index: index, Kept: Kept(row))).Where(r => r.Kept.Length > 0)
                .GroupBy(r => string.Join(',', r.Kept))
                .Select(group => new Selector
                {
                    Rows = Positions.At([.. group.Select(r => r.Index)]), Positions = Positions.At(group.First().Kept),
                }),
        ];
    }
}
