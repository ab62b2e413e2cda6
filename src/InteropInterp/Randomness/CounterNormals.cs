namespace InteropInterp.Randomness;

/// <summary>Standard normal draws for one row of data that depend on (seed, row, stream) alone (Box and Muller 1958).</summary>
/// <param name="stream">Counters from here on are the row's own: streams must lie further apart than a quarter of the draws.</param>
public readonly struct CounterNormals(ulong seed, long row, ulong stream)
{
    /// <summary>The first draws, as many as there is room for.</summary>
    public void Fill(Span<float> draws)
    {
        Span<float> four = stackalloc float[4];
        for (var i = 0; i < draws.Length; i += 4)
        {
            var (a, b, c, d) = CounterRandom.Block(seed, (ulong)row, stream + (ulong)(i / 4));
            (four[0], four[1]) = Pair(a, b);
            (four[2], four[3]) = Pair(c, d);
            four[..Math.Min(4, draws.Length - i)].CopyTo(draws[i..]);
        }
    }

    // The half keeps the logarithm finite.
    private static (float, float) Pair(uint radius, uint angle)
    {
        var length = Math.Sqrt(-2 * Math.Log((radius + 0.5) / 4294967296.0));
        var (sine, cosine) = Math.SinCos(2 * Math.PI * angle / 4294967296.0);
        return ((float)(length * cosine), (float)(length * sine));
    }
}
