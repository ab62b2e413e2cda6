using InteropInterp.Plans;
using static TorchSharp.torch;

namespace InteropInterp.Heads;

/// <summary>
/// Where heads of a known kind attend on a row, as ones in [query, key] (TransformerLens's head_detector). In the current scope.
/// </summary>
public static class DetectionPattern
{
    /// <summary>The names there are.</summary>
    public static IReadOnlyList<string> Names { get; } = ["previous_token_head", "duplicate_token_head", "induction_head"];

    /// <exception cref="InterpException">UNKNOWN_HEAD_KIND with the nearest names.</exception>
    public static Tensor Of(string name, Row row) => name switch
    {
        "previous_token_head" => PreviousToken(row),
        "duplicate_token_head" => DuplicateToken(row),
        "induction_head" => Induction(row),
        _ => throw InterpException.Unknown("UNKNOWN_HEAD_KIND", "kind of head", name, Names),
    };

    /// <summary>To the token before.</summary>
    public static Tensor PreviousToken(Row row) => ones([row.Length, row.Length], device: CPU).tril(-1).triu(-1);

    /// <summary>To earlier occurrences of the same token.</summary>
    public static Tensor DuplicateToken(Row row)
    {
        var ids = tensor(row.Tokens.Select(t => (long)t).ToArray(), device: CPU);
        return ids.unsqueeze(1).eq(ids.unsqueeze(0)).to(ScalarType.Float32).tril(-1);
    }

    /// <summary>To the token behind an earlier occurrence of the same token.</summary>
    public static Tensor Induction(Row row)
    {
        var same = DuplicateToken(row);
        var shifted = zeros_like(same);
        if (row.Length > 1) shifted.narrow(1, 1, row.Length - 1).copy_(same.narrow(1, 0, row.Length - 1));
        return shifted.tril();
    }
}
