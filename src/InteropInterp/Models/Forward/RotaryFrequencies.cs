namespace InteropInterp.Models.Forward;

/// <summary>
/// The angular frequencies of rotary positions (Su et al. 2021) and their scalings, as transformers' modeling_rope_utils computes
/// them: default and linear, dynamic NTK, NTK by parts (Llama 3), YaRN (Peng et al. 2023).
/// </summary>
internal static class RotaryFrequencies
{
    /// <summary>One frequency per rotated pair of dimensions, rounded to float32 as Hugging Face holds them.</summary>
    /// <param name="longest">Positions in this pass; only dynamic NTK depends on it.</param>
    public static double[] Compute(TransformerConfig c, long longest)
    {
        var width = c.RotatedWidth;
        var inverse = new double[width / 2];
        var theta = c.UseDynamicNtk ? DynamicBase(c, longest, width) : c.RotaryBase;
        for (var i = 0; i < inverse.Length; i++) inverse[i] = 1 / Math.Pow(theta, 2.0 * i / width);
        if (c.UseNtkByParts) NtkByParts(c, inverse);
        else if (c.UseYarn) Yarn(c, inverse, width);
        else
            for (var i = 0; i < inverse.Length; i++) inverse[i] /= c.RotaryScalingFactor;
        for (var i = 0; i < inverse.Length; i++) inverse[i] = (float)inverse[i];
        return inverse;
    }

    private static double DynamicBase(TransformerConfig c, long longest, int width)
    {
        double trained = c.TrainingContext ?? c.ContextLength;
        var length = Math.Max(longest, trained);
        return c.RotaryBase * Math.Pow(c.DynamicNtkFactor * length / trained - (c.DynamicNtkFactor - 1), width / (width - 2.0));
    }

    // Long waves are slowed down by the factor, short ones are left alone, those between are blended.
    private static void NtkByParts(TransformerConfig c, double[] inverse)
    {
        for (var i = 0; i < inverse.Length; i++)
        {
            var wavelength = 2 * Math.PI / inverse[i];
            var smooth = (c.NtkOriginalContext / wavelength - c.NtkLowFrequencyFactor) / (c.NtkHighFrequencyFactor - c.NtkLowFrequencyFactor);
            if (wavelength > c.NtkOriginalContext / c.NtkLowFrequencyFactor) inverse[i] /= c.NtkFactor;
            else if (wavelength >= c.NtkOriginalContext / c.NtkHighFrequencyFactor)
                inverse[i] = (1 - smooth) * inverse[i] / c.NtkFactor + smooth * inverse[i];
        }
    }

    private static void Yarn(TransformerConfig c, double[] inverse, int width)
    {
        // The pair that makes a given number of turns within the original context.
        double Pair(double turns) =>
            width * Math.Log(c.YarnOriginalContext / (turns * 2 * Math.PI)) / (2 * Math.Log(c.RotaryBase));
        double low = Pair(c.YarnBetaFast), high = Pair(c.YarnBetaSlow);
        if (c.YarnTruncate) (low, high) = (Math.Floor(low), Math.Ceiling(high));
        (low, high) = (Math.Max(low, 0), Math.Min(high, width - 1));
        if (low == high) high += 0.001;
        for (var i = 0; i < inverse.Length; i++)
        {
            var interpolated = Math.Clamp((i - low) / (high - low), 0, 1);
            inverse[i] = inverse[i] / c.YarnFactor * interpolated + inverse[i] * (1 - interpolated);
        }
    }
}
