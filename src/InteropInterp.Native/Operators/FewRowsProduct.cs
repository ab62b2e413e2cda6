using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace InteropInterp.Native.Operators;

/// <summary>A product of few rows in blocks of outputs, which threads take in turn. The sums of a block stay in the first-level cache.</summary>
internal unsafe struct FewRowsProduct
{
    /// <summary>Numbers in a vector; where the processor has none as long, two or four of its own.</summary>
    public const int Lanes = 16;

    private const int Depth = 8; // rows of [in, out] that are read side by side
    private const int Sums = 8192; // numbers in a block
    private const int BlocksPerThread = 2; // so that no thread waits long for another

    private readonly int rows, width, blocks;
    private readonly long inputs, outputs;
    private int taken;

    /// <param name="outputs">A vector of them at least.</param>
    /// <param name="threads">How many will take blocks.</param>
    public FewRowsProduct(int rows, long inputs, long outputs, int threads)
    {
        (this.rows, this.inputs, this.outputs) = (rows, inputs, outputs);
        // As many blocks for each thread, of whole vectors: the last one ends where the outputs end, and what it shares with the one
        // before comes out the same.
        var most = Sums / rows / Lanes * Lanes;
        var count = Math.Max((outputs + most - 1) / most, threads == 1 ? 1 : (long)threads * BlocksPerThread);
        count = (count + threads - 1) / threads * threads;
        width = (int)Math.Clamp((outputs + count * Lanes - 1) / (count * Lanes) * Lanes, Lanes, Math.Min(most, outputs / Lanes * Lanes));
        blocks = (int)((outputs + width - 1) / width);
    }

    /// <summary>[rows, in].</summary>
    public required float* X { get; init; }

    /// <summary>[in, out].</summary>
    public required float* Weight { get; init; }

    /// <summary>[out], or null.</summary>
    public required float* Bias { get; init; }

    /// <summary>[rows, out].</summary>
    public required float* Result { get; init; }

    /// <summary>Computes a block that no thread has taken; false when none is left.</summary>
    public bool TryNextBlock()
    {
        var block = Interlocked.Increment(ref taken) - 1;
        if (block >= blocks) return false;
        Compute(Math.Min((long)block * width, outputs - width));
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    [SkipLocalsInit]
    private readonly void Compute(long first)
    {
        // Rows of the sums do not lie a power of two apart: they would push each other out of the cache.
        var pitch = width + Lanes;
        var sums = stackalloc float[Sums + FewRows.Most * Lanes];
        var factors = stackalloc float[FewRows.Most * Depth];
        for (var row = 0; row < rows; row++)
        {
            var sum = new Span<float>(sums + row * pitch, width);
            if (Bias is null) sum.Clear();
            else new ReadOnlySpan<float>(Bias + first, width).CopyTo(sum);
        }
        var weight = Weight + first;
        long input = 0;
        for (; input + Depth <= inputs; input += Depth, weight += Depth * outputs)
        {
            for (var row = 0; row < rows; row++) Vector256.Store(Vector256.Load(X + row * inputs + input), factors + row * Depth);
            AddDepth(weight, outputs, width, sums, pitch, factors, rows);
        }
        for (; input < inputs; input++, weight += outputs)
            for (var row = 0; row < rows; row++) AddOne(weight, width, sums + row * pitch, X[row * inputs + input]);
        for (var row = 0; row < rows; row++)
            new ReadOnlySpan<float>(sums + row * pitch, width).CopyTo(new Span<float>(Result + row * outputs + first, width));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddDepth(float* weight, long outputs, int width, float* sums, int pitch, float* factors, int rows)
    {
        float* w0 = weight, w1 = w0 + outputs, w2 = w1 + outputs, w3 = w2 + outputs;
        float* w4 = w3 + outputs, w5 = w4 + outputs, w6 = w5 + outputs, w7 = w6 + outputs;
        for (var i = 0; i < width; i += Lanes)
        {
            var (v0, v1, v2, v3) = (Vector512.Load(w0 + i), Vector512.Load(w1 + i), Vector512.Load(w2 + i), Vector512.Load(w3 + i));
            var (v4, v5, v6, v7) = (Vector512.Load(w4 + i), Vector512.Load(w5 + i), Vector512.Load(w6 + i), Vector512.Load(w7 + i));
            float* sum = sums + i, factor = factors;
            for (var row = 0; row < rows; row++, sum += pitch, factor += Depth)
            {
                var s = Vector512.Load(sum);
                s = Vector512.FusedMultiplyAdd(v0, Vector512.Create(factor[0]), s);
                s = Vector512.FusedMultiplyAdd(v1, Vector512.Create(factor[1]), s);
                s = Vector512.FusedMultiplyAdd(v2, Vector512.Create(factor[2]), s);
                s = Vector512.FusedMultiplyAdd(v3, Vector512.Create(factor[3]), s);
                s = Vector512.FusedMultiplyAdd(v4, Vector512.Create(factor[4]), s);
                s = Vector512.FusedMultiplyAdd(v5, Vector512.Create(factor[5]), s);
                s = Vector512.FusedMultiplyAdd(v6, Vector512.Create(factor[6]), s);
                s = Vector512.FusedMultiplyAdd(v7, Vector512.Create(factor[7]), s);
                Vector512.Store(s, sum);
            }
        }
    }

    private static void AddOne(float* weight, int width, float* sum, float factor)
    {
        var many = Vector512.Create(factor);
        for (var i = 0; i < width; i += Lanes)
            Vector512.Store(Vector512.FusedMultiplyAdd(Vector512.Load(weight + i), many, Vector512.Load(sum + i)), sum + i);
    }
}
