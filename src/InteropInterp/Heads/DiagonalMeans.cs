using InteropInterp.Hooks;
using InteropInterp.Plans;
using static TorchSharp.torch;

namespace InteropInterp.Heads;

/// <summary>
/// Of each head, the mean attention along diagonals of its pattern: from every position to the one a fixed distance before it.
/// Taken where the pattern is computed, so that no pattern is kept.
/// </summary>
/// <param name="Diagonals">How far back each looks, and from which position on.</param>
internal sealed record DiagonalMeans(params IReadOnlyList<(int Distance, int From)> Diagonals) : ICaptureTransform
{
    public string Suffix => "diagonals";

    public void Check(HookPoint point, IReadOnlyList<long> shape) => InterpException.Require(point.Site == HookSite.Pattern,
        "NOT_A_PATTERN", $"Means over diagonals are of attention patterns; '{point.Name}' is none.");

    public IReadOnlyList<long> Shape(IReadOnlyList<long> shape) => [shape[0], shape[1], Diagonals.Count];

    /// <param name="activation">[rows, heads, query, key].</param>
    /// <returns>[rows, heads, diagonals].</returns>
    public Tensor Apply(Tensor activation) => stack([.. Diagonals.Select(d => Mean(activation, d.Distance, d.From))], -1);

    // The diagonal's first entry is that of the position that is just the distance away from the row's first.
    private static Tensor Mean(Tensor pattern, int distance, int from)
    {
        var diagonal = pattern.diagonal(-distance, -2, -1);
        return diagonal.narrow(-1, from - distance, diagonal.size(-1) - (from - distance)).mean([-1]);
    }
}
