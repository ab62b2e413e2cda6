namespace InteropInterp.Randomness;

/// <summary>
/// As many draws as one likes for one row of data: they depend on (seed, row) alone, whatever was drawn for other rows, so that
/// a run that is resumed goes on with the data it would have had.
/// </summary>
public struct CounterDraws(ulong seed, long row)
{
    private ulong block;
    private (uint, uint, uint, uint) words;
    private int left;

    /// <summary>32 random bits.</summary>
    public uint Next()
    {
        if (left == 0) (words, left) = (CounterRandom.Block(seed, (ulong)row, block++), 4);
        return --left switch { 3 => words.Item1, 2 => words.Item2, 1 => words.Item3, _ => words.Item4 };
    }

    /// <summary>0 ... count-1, each as likely (Lemire 2019).</summary>
    public int Below(int count)
    {
        var range = (uint)count;
        while (true)
        {
            var product = (ulong)Next() * range;
            // Of the low half, the first 2^32 mod count values would be one too many.
            if ((uint)product >= (0u - range) % range) return (int)(product >> 32);
        }
    }
}
