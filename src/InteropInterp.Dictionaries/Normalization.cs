using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries;

/// <summary>What a dictionary does to each token's activation before encoding, and undoes after decoding.</summary>
public enum Normalization
{
    None,

    /// <summary>x · √d_in / ‖x‖ (constant_norm_rescale).</summary>
    ConstantNorm,

    /// <summary>(x − mean) / (s + 1e-5), s the unbiased standard deviation; undone as y · s + mean (layer_norm).</summary>
    LayerNorm,
}

/// <summary>A normalised activation and the way back: y · <see cref="Scale"/> + <see cref="Shift"/>, per token.</summary>
/// <param name="Scale">[..., 1]; null for 1.</param>
/// <param name="Shift">[..., 1]; null for 0.</param>
internal readonly record struct Normalized(Tensor Input, Tensor? Scale = null, Tensor? Shift = null)
{
    private const double Epsilon = 1e-5;

    /// <param name="x">[..., d_in].</param>
    public static Normalized Of(Normalization how, Tensor x)
    {
        switch (how)
        {
            case Normalization.ConstantNorm:
                // x · c and y / c with c = √d / ‖x‖.
                var inverse = x.norm(-1, keepdim: true).DividedBy(Math.Sqrt(x.size(-1)));
                return new(x / inverse, inverse);
            case Normalization.LayerNorm:
                var mean = x.mean([-1], keepdim: true);
                var centered = x - mean;
                var deviation = centered.std(-1, unbiased: true, keepdim: true);
                return new(centered / deviation.Plus(Epsilon), deviation, mean);
            default:
                return new(x);
        }
    }

    /// <summary>What was decoded, in the activation's own units.</summary>
    public Tensor Undo(Tensor y)
    {
        var scaled = Difference(y);
        return Shift is null ? scaled : scaled.Plus(Shift);
    }

    /// <summary>A difference of what was decoded, in the activation's own units.</summary>
    public Tensor Difference(Tensor y) => Scale is null ? y : y * Scale;
}
