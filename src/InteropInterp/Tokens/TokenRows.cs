namespace InteropInterp.Tokens;

/// <summary>The tokens of one or more texts. Rows keep their own lengths; padding is only put on by <see cref="ToPadded"/>.</summary>
/// <param name="Rows">[row][token] ids, not padded, none empty.</param>
/// <param name="PaddingSide">Where padding goes.</param>
/// <param name="PadId">The id to pad with; null where the tokenizer has none.</param>
public sealed record TokenRows(IReadOnlyList<int[]> Rows, PaddingSide PaddingSide, int? PadId)
{
    /// <summary>The length of the longest row.</summary>
    public int Width { get; } = Rows.Count == 0 ? 0 : Rows.Max(row => row.Length);

    /// <summary>[row, position] ids, shorter rows filled up.</summary>
    /// <exception cref="InterpException">NO_PAD_TOKEN: rows differ in length and the tokenizer has no token to fill them up.</exception>
    public long[,] ToPadded()
    {
        var ids = new long[Rows.Count, Width];
        for (var r = 0; r < Rows.Count; r++)
        {
            var padding = Width - Rows[r].Length;
            var start = PaddingSide == PaddingSide.Left ? padding : 0;
            for (var p = 0; p < Width; p++)
                ids[r, p] = p >= start && p < start + Rows[r].Length ? Rows[r][p - start] : Pad(padding);
        }
        return ids;
    }

    /// <summary>[row, position] 1 where a token stands, 0 where padding does.</summary>
    public long[,] AttentionMask()
    {
        var mask = new long[Rows.Count, Width];
        for (var r = 0; r < Rows.Count; r++)
        {
            var start = PaddingSide == PaddingSide.Left ? Width - Rows[r].Length : 0;
            for (var p = start; p < start + Rows[r].Length; p++) mask[r, p] = 1;
        }
        return mask;
    }

    private int Pad(int missing) => PadId ?? throw InterpException.Precondition("NO_PAD_TOKEN",
        $"The rows differ in length by {missing} tokens, and the tokenizer has neither a padding nor an EOS token to fill them up. " +
        "Use rows of equal length.");
}
