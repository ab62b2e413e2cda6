namespace InteropInterp.Plans;

/// <summary>One sequence. Positions count from its first token, negative ones from its end, wherever a batch puts it.</summary>
/// <param name="Tokens">Token ids.</param>
public sealed record Row(IReadOnlyList<int> Tokens)
{
    /// <summary>
    /// False where a token is padding that nothing may attend to; null: none is. Positions still count all of
    /// <see cref="Tokens"/>, as in a padded tensor.
    /// </summary>
    public IReadOnlyList<bool>? Mask { get; init; }

    public int Length => Tokens.Count;

    /// <summary>Rows of a rectangular array of token ids.</summary>
    public static IReadOnlyList<Row> From(IEnumerable<IReadOnlyList<int>> tokens) => [.. tokens.Select(t => new Row(t))];
}
