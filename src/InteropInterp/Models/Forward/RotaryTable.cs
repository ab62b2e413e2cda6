using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Models.Forward;

/// <summary>Cosines and sines of rotary positions, grown as longer sequences come, and the rotation itself.</summary>
internal sealed class RotaryTable(TransformerConfig config, ScalarType dtype, Device device) : IDisposable
{
    private readonly Lock gate = new();
    private (Tensor Cos, Tensor Sin)? table;
    private long rows;
    private long longestOfTable;

    /// <summary>Cosines and sines of the given positions.</summary>
    /// <param name="positions">[batch or 1, pos] int64, below <paramref name="count"/>.</param>
    /// <param name="count">Positions there are in the whole pass, cached ones included.</param>
    /// <returns>Each [batch or 1, pos, 1, pairs].</returns>
    public (Tensor Cos, Tensor Sin) At(Tensor positions, long count)
    {
        lock (gate)
        {
            if (table is null || count > rows || (config.UseDynamicNtk && count != longestOfTable)) Grow(count);
            var (cos, sin) = table!.Value;
            return (Rows(cos), Rows(sin));

            Tensor Rows(Tensor t) => t.index_select(0, positions.flatten()).view(positions.size(0), positions.size(1), 1, -1);
        }
    }

    /// <summary>The first <see cref="TransformerConfig.RotatedWidth"/> dimensions of each head, rotated; the rest as it stands.</summary>
    /// <param name="x">[batch, pos, head, d_head].</param>
    public Tensor Rotate(Tensor x, Tensor cos, Tensor sin)
    {
        long width = config.RotatedWidth, half = width / 2;
        var rotated = x.narrow(-1, 0, width);
        Tensor result;
        if (config.RotaryAdjacentPairs)
        {
            var pairs = rotated.unflatten(rotated.dim() - 1, half, 2);
            var (a, b) = (pairs.select(-1, 0), pairs.select(-1, 1));
            result = stack([a * cos - b * sin, (b * cos).PlusInPlace(a * sin)], -1).flatten(-2);
        }
        else
        {
            var (a, b) = (rotated.narrow(-1, 0, half), rotated.narrow(-1, half, half));
            result = cat([a * cos - b * sin, (b * cos).PlusInPlace(a * sin)], -1);
        }
        return width == config.HeadWidth ? result : cat([result, x.narrow(-1, width, config.HeadWidth - width)], -1);
    }

    // Angles are rounded to float32 in float32 models: Hugging Face multiplies position and frequency there.
    private void Grow(long count)
    {
        longestOfTable = count;
        rows = config.UseDynamicNtk ? count : Math.Max(count, Math.Min(config.ContextLength, Math.Max(256, 2 * rows)));
        var frequencies = RotaryFrequencies.Compute(config, count);
        var scale = config.UseYarn ? config.YarnAttentionFactor : 1;
        var (cos, sin) = (new double[rows * frequencies.Length], new double[rows * frequencies.Length]);
        for (long position = 0, at = 0; position < rows; position++)
            foreach (var frequency in frequencies)
            {
                var angle = dtype == ScalarType.Float64 ? position * frequency : (float)(position * frequency);
                (cos[at], sin[at]) = (Math.Cos(angle) * scale, Math.Sin(angle) * scale);
                at++;
            }
        using var scope = NewDisposeScope();
        Tensor Make(double[] values) => tensor(values, [rows, frequencies.Length], device: CPU).to(dtype, device).DetachFromDisposeScope();
        Dispose();
        table = (Make(cos), Make(sin));
    }

    public void Dispose()
    {
        table?.Cos.Dispose();
        table?.Sin.Dispose();
        table = null;
    }
}
