using static TorchSharp.torch;

namespace InteropInterp.Models.Weights;

/// <summary>
/// What is wrong with one weight. Broken weights load, and what they give is not a number; this names where they are.
/// </summary>
/// <param name="Name">In the state dict.</param>
/// <param name="Count">Numbers.</param>
/// <param name="NotANumber">How many are NaN.</param>
/// <param name="Infinite">How many are infinite.</param>
/// <param name="Largest">The largest absolute value of the rest.</param>
public sealed record WeightHealth(string Name, long Count, long NotANumber, long Infinite, double Largest)
{
    public bool IsBroken => NotANumber + Infinite > 0;

    /// <summary>Nothing but zeros, where that is no bias: those may well be.</summary>
    public bool IsDead => Largest == 0 && !IsBroken && !WeightNames.IsBias(Name) && !Name.EndsWith(".b", StringComparison.Ordinal);

    /// <summary>Looks through all weights of a model.</summary>
    public static IReadOnlyList<WeightHealth> Of(TransformerModel model) =>
        [.. model.StateDict.Names.Select(name => Of(name, model.StateDict))];

    private static WeightHealth Of(string name, StateDict weights)
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var magnitude = weights[name].abs();
        var count = magnitude.numel();
        // NaN and infinity carry through a maximum: mostly one pass finds that there are none.
        var largest = count == 0 ? 0 : magnitude.max().to(ScalarType.Float64).item<double>();
        if (double.IsFinite(largest)) return new WeightHealth(name, count, 0, 0, largest);
        var nan = magnitude.isnan().sum().item<long>();
        var infinite = magnitude.isinf().sum().item<long>();
        var rest = magnitude.nan_to_num(0, 0, 0).max().to(ScalarType.Float64).item<double>();
        return new WeightHealth(name, count, nan, infinite, rest);
    }
}
