namespace InteropInterp.Tokens;

/// <summary>Attention masks for rows that come padded, from elsewhere.</summary>
public static class AttentionMasks
{
    /// <summary>
    /// [row, position] 0 for the padding at one end of each row and 1 for everything else; a padding token amid the text counts
    /// as text. Source: get_attention_mask of TransformerLens 3.9.
    /// </summary>
    /// <param name="ids">[row, position] token ids.</param>
    /// <param name="startsWithBos">
    /// The rows begin with a BOS that is the padding token at the same time: then the last of the paddings on the left is it.
    /// </param>
    public static long[,] Of(long[,] ids, int padId, PaddingSide side, bool startsWithBos)
    {
        var (rows, width) = (ids.GetLength(0), ids.GetLength(1));
        var mask = new long[rows, width];
        for (var r = 0; r < rows; r++)
        {
            var (first, last) = (0, width - 1);
            if (side == PaddingSide.Left)
            {
                while (first < width && ids[r, first] == padId) first++;
                if (startsWithBos && first > 0) first--;
            }
            else
                while (last >= 0 && ids[r, last] == padId) last--;
            for (var p = first; p <= last; p++) mask[r, p] = 1;
        }
        return mask;
    }
}
