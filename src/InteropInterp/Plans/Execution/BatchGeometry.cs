namespace InteropInterp.Plans.Execution;

/// <summary>Where the rows of a plan lie in one pass: which rows, on which side they are padded, how far a generation has come.</summary>
/// <param name="Rows">Rows of the plan, in the order of the batch.</param>
/// <param name="Length">Positions in this pass.</param>
/// <param name="Past">Positions that earlier passes have cached.</param>
/// <param name="Offsets">Where each row's first token stands, counted from the first position ever.</param>
/// <param name="Lengths">Tokens of each row so far, with those of this pass.</param>
/// <param name="Step">The decode step; 0 is the prompt.</param>
internal sealed record BatchGeometry(
    IReadOnlyList<int> Rows, int Length, int Past, IReadOnlyList<int> Offsets, IReadOnlyList<int> Lengths, int Step)
{
    /// <summary>Whether no row is padded.</summary>
    public bool IsRectangular { get; } = Lengths.All(length => length == Past + Length);

    /// <summary>A row's own positions (already from 0) as positions of this pass; those of other passes are left out.</summary>
    public int[] InPass(int row, IEnumerable<int> own) =>
        [.. own.Select(p => p + Offsets[row] - Past).Where(p => p >= 0 && p < Length)];
}
