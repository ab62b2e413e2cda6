using InteropInterp.Hooks;
using InteropInterp.Plans;
using static TorchSharp.torch;

namespace InteropInterp.Heads;

/// <summary>
/// Of each head, the mean attention along diagonals of its pattern: from every position to the one a fixed distance before it.
/// Taken where the pattern is computed, so that no pattern is kept.
/// </summary>
/// <param name="Distances">How far back, each 0 or more and less than the row is long.</param>
internal sealed record DiagonalMeans(IReadOnlyList<int> Distances) : ICaptureTransform
{
    public string Suffix => "diagonals";

    public void Check(HookPoint point, IReadOnlyList<long> shape) => InterpException.Require(point.Site == HookSite.Pattern,
        "NOT_A_PATTERN", $"Means over diagonals are of attention patterns; '{point.Name}' is none.");

    /// <param name="activation">[rows, heads, query, key].</param>
    /// <returns>[rows, heads, distances].</returns>
    public Tensor Apply(Tensor activation) =>
        stack([.. Distances.Select(distance => activation.diagonal(-distance, -2, -1).mean([-1]))], -1);
}
