using InteropInterp.Hooks;
using InteropInterp.Plans;
using static TorchSharp.torch;

namespace InteropInterp.Heads;

/// <summary>Of each head, how its attention pattern compares with a given one. Taken where the pattern is computed: none is kept.</summary>
/// <param name="Wanted">[pos, pos], borrowed.</param>
/// <param name="Counted">[pos, pos], 0 where attention is left out of account; borrowed.</param>
internal sealed record PatternOverlap(Tensor Wanted, Tensor Counted, PatternError Error) : ICaptureTransform
{
    public string Suffix => "overlap";

    public void Check(HookPoint point, IReadOnlyList<long> shape) => InterpException.Require(point.Site == HookSite.Pattern,
        "NOT_A_PATTERN", $"Patterns of attention are compared; '{point.Name}' is none.");

    public IReadOnlyList<long> Shape(IReadOnlyList<long> shape) => [shape[0], shape[1]];

    /// <param name="activation">[rows, heads, query, key].</param>
    /// <returns>[rows, heads].</returns>
    public Tensor Apply(Tensor activation)
    {
        var (wanted, counted) = (Wanted.to(activation.dtype, activation.device), Counted.to(activation.dtype, activation.device));
        var pattern = activation * counted;
        return Error == PatternError.Multiplied
            ? ((pattern * wanted).sum([-2, -1]) / pattern.sum([-2, -1])).nan_to_num(0.0)
            : (pattern - wanted * counted).abs().mean([-2, -1]);
    }
}
