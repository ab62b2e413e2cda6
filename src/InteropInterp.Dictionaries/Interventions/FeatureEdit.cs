using InteropInterp.Native.Operators;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Interventions;

/// <summary>What is done to the codes of some features, at every token alike.</summary>
/// <param name="Features">Of 0 to d_sae - 1.</param>
public abstract record FeatureEdit(IReadOnlyList<int> Features)
{
    /// <summary>Sets codes to a value, whether the feature is active or not; 0 ablates it.</summary>
    public static FeatureEdit Clamp(double value, params IReadOnlyList<int> features) => new ClampFeatures(features, value);

    /// <summary>Sets codes to 0.</summary>
    public static FeatureEdit Ablate(params IReadOnlyList<int> features) => new ClampFeatures(features, 0);

    /// <summary>Multiplies codes.</summary>
    public static FeatureEdit Scale(double factor, params IReadOnlyList<int> features) => new ScaleFeatures(features, factor);

    /// <summary>The edited codes.</summary>
    /// <param name="codes">[..., n].</param>
    /// <param name="columns">Where the features stand in them: int64 [count].</param>
    public abstract Tensor Apply(Tensor codes, Tensor columns);
}

/// <summary>Codes set to a value.</summary>
public sealed record ClampFeatures(IReadOnlyList<int> Features, double Value) : FeatureEdit(Features)
{
    public override Tensor Apply(Tensor codes, Tensor columns)
    {
        using var value = Value.ToScalar();
        return codes.index_fill(-1, columns, value);
    }
}

/// <summary>Codes multiplied by a factor.</summary>
public sealed record ScaleFeatures(IReadOnlyList<int> Features, double Factor) : FeatureEdit(Features)
{
    public override Tensor Apply(Tensor codes, Tensor columns) =>
        codes.index_copy(-1, columns, codes.index_select(-1, columns).Times(Factor));
}
