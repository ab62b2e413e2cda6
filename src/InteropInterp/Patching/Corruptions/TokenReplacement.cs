using InteropInterp.Plans;

namespace InteropInterp.Patching.Corruptions;

/// <summary>
/// Symmetric token replacement (Zhang and Nanda 2024): the two tokens of each pair change places wherever they stand, so that the
/// corrupted prompt is as natural and as long as the clean one.
/// </summary>
/// <param name="Pairs">Names within pairs, say. No token in two of them.</param>
public sealed record TokenReplacement(string Name, IReadOnlyList<(int First, int Second)> Pairs) : Corruption(Name)
{
    /// <summary>Where tokens are replaced.</summary>
    public Positions Where { get; init; } = Positions.All;

    public override Plan Apply(Plan clean)
    {
        var other = Others();
        return clean with
        {
            Rows =
            [
                .. clean.Rows.Select((row, index) =>
                {
                    var tokens = row.Tokens.ToArray();
                    var replaced = 0;
                    foreach (var position in Where.Resolve(tokens.Length, "position"))
                        if (other.TryGetValue(tokens[position], out var token))
                        {
                            tokens[position] = token;
                            replaced++;
                        }
                    InterpException.Require(replaced > 0, "SELECTS_NOTHING",
                        $"Corruption '{Name}' replaces nothing in row {index}: none of the tokens {string.Join(", ", other.Keys)} stands there (positions {Where} of {tokens.Length}).");
                    return row with { Tokens = tokens };
                }),
            ],
        };
    }

    private Dictionary<int, int> Others()
    {
        var other = new Dictionary<int, int>();
        foreach (var (first, second) in Pairs)
        {
            InterpException.Require(first != second && other.TryAdd(first, second) && other.TryAdd(second, first), "TOKEN_TWICE",
                $"Corruption '{Name}': the pair ({first}, {second}) has a token that has a partner already, or is its own.");
        }
        InterpException.Require(other.Count > 0, "SELECTS_NOTHING", $"Corruption '{Name}' has no pairs of tokens.");
        return other;
    }
}
