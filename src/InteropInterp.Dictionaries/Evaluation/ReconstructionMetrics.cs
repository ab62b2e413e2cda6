using InteropInterp.Native.Operators;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Evaluation;

/// <summary>
/// Gathers <see cref="ReconstructionQuality"/> batch by batch. Everything is summed in float64 and the variance about the mean is
/// merged from centred sums (Chan, Golub and LeVeque 1983), so that a mean far from zero costs no digits.
/// </summary>
public sealed class ReconstructionMetrics
{
    private long tokens;
    private double active, l1, error, legacy, cosine, normIn, normOut, ratio, outSquared, product, variance;
    private double[] mean = [];
    private long[] fires = [];

    /// <summary>What a dictionary makes of activations.</summary>
    /// <param name="x">As the dictionary reads them.</param>
    public void Add(SparseDictionary dictionary, Tensor x)
    {
        using var scope = NewDisposeScope();
        var codes = dictionary.Encode(x);
        long[] flat = [.. codes.shape[..^1], dictionary.Config.InputWidth];
        Add(x.reshape(flat), dictionary.Decode(codes, x).reshape(flat), codes);
    }

    /// <param name="x">[..., d_in].</param>
    /// <param name="reconstruction">[..., d_in].</param>
    /// <param name="codes">[..., d_sae].</param>
    public void Add(Tensor x, Tensor reconstruction, Tensor codes)
    {
        long[] shape = x.shape, ofReconstruction = reconstruction.shape, ofCodes = codes.shape;
        var fits = shape.SequenceEqual(ofReconstruction) && shape.AsSpan(..^1).SequenceEqual(ofCodes.AsSpan(..^1));
        InterpException.Require(fits, "METRIC_SHAPES",
            $"Activations [{string.Join(", ", shape)}], reconstructions [{string.Join(", ", ofReconstruction)}] and codes "
            + $"[{string.Join(", ", ofCodes)}] must be of the same tokens.");
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        AddCodes(codes.reshape(-1, codes.size(-1)));
        AddActivations(x.reshape(-1, x.size(-1)).to(ScalarType.Float64), reconstruction.reshape(-1, x.size(-1)).to(ScalarType.Float64));
    }

    /// <summary>The means so far.</summary>
    /// <exception cref="InterpException">NO_TOKENS.</exception>
    public ReconstructionQuality Finish()
    {
        InterpException.Require(tokens > 0, "NO_TOKENS", "No tokens were added: there is nothing to average.");
        double n = tokens;
        return new ReconstructionQuality
        {
            Tokens = tokens,
            L0 = active / n,
            L1 = l1 / n,
            MeanSquaredError = error / n,
            MeanSquaredErrorPerEntry = error / n / mean.Length,
            ExplainedVariance = variance == 0 ? double.NaN : 1 - error / variance,
            ExplainedVarianceLegacy = legacy / n,
            CosineSimilarity = cosine / n,
            NormIn = normIn / n,
            NormOut = normOut / n,
            NormRatio = ratio / n,
            RelativeReconstructionBias = outSquared / product,
            FeatureDensity = [.. fires.Select(f => f / n)],
        };
    }

    private void AddCodes(Tensor codes)
    {
        var counts = codes.ne(Scalars.Zero).sum([0], type: ScalarType.Int64).cpu().data<long>().ToArray();
        if (fires.Length == 0) fires = new long[counts.Length];
        InterpException.Require(fires.Length == counts.Length, "METRIC_SHAPES",
            $"These codes have {counts.Length} features, those before had {fires.Length}.");
        for (var i = 0; i < counts.Length; i++) fires[i] += counts[i];
        active += counts.Sum();
        l1 += Sum(codes.abs());
    }

    private void AddActivations(Tensor x, Tensor y)
    {
        using var least = 1e-4.ToScalar();
        var errors = (x - y).square().sum(1);
        var center = x.mean([0]);
        var deviations = (x - center).square().sum(1);
        var (lengthIn, lengthOut, products) = (x.norm(1), y.norm(1), (x * y).sum(1));

        error += Sum(errors);
        legacy += x.size(0) - Sum(errors / deviations);
        cosine += Sum(products / (lengthIn * lengthOut));
        normIn += Sum(lengthIn);
        normOut += Sum(lengthOut);
        ratio += Sum(lengthOut / lengthIn.masked_fill(lengthIn.lt(least), Scalars.One));
        outSquared += Sum(y.square());
        product += Sum(products);
        Merge(center.cpu().data<double>().ToArray(), Sum(deviations), x.size(0));
    }

    // Two sets of tokens, each with its mean and its squared distance from it.
    private void Merge(double[] center, double deviation, long count)
    {
        if (tokens == 0) mean = new double[center.Length];
        var total = tokens + count;
        var apart = 0.0;
        for (var i = 0; i < center.Length; i++)
        {
            var difference = center[i] - mean[i];
            apart += difference * difference;
            mean[i] += difference * count / total;
        }
        variance += deviation + apart * tokens * count / total;
        tokens = total;
    }

    private static double Sum(Tensor t) => t.sum(ScalarType.Float64).item<double>();
}
