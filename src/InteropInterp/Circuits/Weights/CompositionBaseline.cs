using static TorchSharp.torch;

namespace InteropInterp.Circuits.Weights;

/// <summary>
/// The composition score of unrelated heads: the mean and standard deviation over pairs of random matrices of a model's shape.
/// The mean of the square is 1 / d_model.
/// </summary>
/// <param name="Mean">What a composition score must stand out from.</param>
/// <param name="Deviation">Of single scores.</param>
public sealed record CompositionBaseline(double Mean, double Deviation)
{
    /// <param name="width">d_model.</param>
    /// <param name="headWidth">d_head.</param>
    /// <param name="samples">Pairs, each of four Gaussian factors.</param>
    public static CompositionBaseline Measure(int width, int headWidth, int samples = 32, ulong seed = 0)
    {
        InterpException.Require(width > 0 && headWidth > 0 && samples > 1, "INVALID_OPTION",
            $"d_model {width}, d_head {headWidth} and {samples} samples: all must be above 0, and the samples at least 2.");
        Native.LibTorch.Load();
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        using var generator = new Generator(seed);
        var scores = new double[samples];
        for (var i = 0; i < samples; i++)
        {
            using var step = NewDisposeScope();
            FactoredMatrix Draw() => new(randn([width, headWidth], device: CPU, generator: generator), randn([headWidth, width], device: CPU, generator: generator));
            scores[i] = CompositionScores.Of(Draw(), Draw()).to(ScalarType.Float64).item<double>();
        }
        var mean = scores.Average();
        return new CompositionBaseline(mean, Math.Sqrt(scores.Sum(s => (s - mean) * (s - mean)) / (samples - 1)));
    }
}
