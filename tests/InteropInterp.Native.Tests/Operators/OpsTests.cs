using InteropInterp.Native.Operators;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Native.Tests.Operators;

public class OpsTests
{
    public static readonly TheoryData<ScalarType> Types = new(ScalarType.Float32, ScalarType.Float64);

    private static readonly double[] A = [1.5, -2, 0.25, 3, -0.5, 7], B = [0.5, 4, -1, 2, 8, -3];

    private static Tensor Make(double[] values, ScalarType dtype, params long[] shape) => tensor(values).to(dtype).reshape(shape);

    private static double[] Values(Tensor t) => t.to(ScalarType.Float64).contiguous().data<double>().ToArray();

    private static void Close(IEnumerable<double> expected, Tensor actual, ScalarType dtype)
    {
        Assert.Equal(dtype, actual.dtype);
        var tolerance = dtype == ScalarType.Float64 ? 1e-12 : 1e-5;
        Assert.All(expected.Zip(Values(actual), (e, a) => Math.Abs(e - a)), d => Assert.InRange(d, 0, tolerance));
        Assert.Equal(expected.Count(), actual.numel());
    }

    [Theory, MemberData(nameof(Types))]
    public void Arithmetic_is_what_its_formula_says(ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        Tensor a = Make(A, dtype, 2, 3), b = Make(B, dtype, 2, 3);
        Close(A.Zip(B, (x, y) => x + y), a.Plus(b), dtype);
        Close(A.Select(x => x + 0.1), a.Plus(0.1), dtype);
        Close(A.Select(x => x * 0.3), a.Times(0.3), dtype);
        Close(A.Select(x => x / 0.7), a.DividedBy(0.7), dtype);
        Close(A.Zip(B, (x, y) => x - 2.5 * y), a.PlusScaled(b, -2.5), dtype);
        Close(A, a, dtype);
    }

    [Theory, MemberData(nameof(Types))]
    public void A_matrix_product_sums_over_the_inner_dimension_and_broadcasts_the_outer_ones(ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        static IEnumerable<double> Product(double[] a, double[] b, int n, int k, int m) =>
            from i in Enumerable.Range(0, n)
            from j in Enumerable.Range(0, m)
            select Enumerable.Range(0, k).Sum(x => a[i * k + x] * b[x * m + j]);
        Tensor a = Make(A, dtype, 2, 3), b = Make(B, dtype, 3, 2);
        Close(Product(A, B, 2, 3, 2), a.MatMul(b), dtype);
        Close(Product(A, B, 2, 3, 2).Concat(Product([.. B], B, 2, 3, 2)), stack([a, Make(B, dtype, 2, 3)]).MatMul(b), dtype);
        Close(Product(A, [B[0], B[1], B[2]], 2, 3, 1), a.MatMul(Make([B[0], B[1], B[2]], dtype, 3)), dtype);
    }

    [Fact]
    public void A_matrix_product_that_does_not_exist_is_an_error_and_not_the_end()
    {
        using var scope = NewDisposeScope();
        Tensor square = ones(2, 2), flags = ones(2, 2, dtype: ScalarType.Bool), wide = ones(2, 3);
        foreach (var (a, b) in new[] { (wide, wide), (ones(4, 2, 3), wide), (square, square.to(ScalarType.Float64)), (flags, flags) })
        {
            var error = Assert.Throws<InterpException>(() => a.MatMul(b));
            Assert.Equal("BAD_MATMUL", error.Reason);
            Assert.Contains($"[{string.Join(", ", b.shape)}] {b.dtype}", error.Message, StringComparison.Ordinal);
        }
    }

    [Theory, MemberData(nameof(Types))]
    public void In_place_operators_change_the_tensor_itself(ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        Tensor a = Make(A, dtype, 6), b = Make(B, dtype, 6);
        a.PlusInPlace(b);
        Close(A.Zip(B, (x, y) => x + y), a, dtype);
        a.Fill(-0.125);
        Close(Enumerable.Repeat(-0.125, 6), a, dtype);
    }

    [Theory, MemberData(nameof(Types))]
    public void Full_has_one_value_everywhere(ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        var t = Ops.Full([2, 2], 1e-3, dtype);
        Assert.Equal([2, 2], t.shape);
        Close(Enumerable.Repeat(1e-3, 4), t, dtype);
    }

    [Fact]
    public void Ranges_count_in_whole_numbers()
    {
        using var scope = NewDisposeScope();
        Assert.Equal([0L, 1, 2], Ops.Range(3).data<long>().ToArray());
        Assert.Equal([-1L, 0, 1], Ops.Range(-1, 2).data<long>().ToArray());
        Assert.Equal(0, Ops.Range(0).numel());
        // Beyond 2^53 a double would round.
        Assert.Equal([9007199254740993L], Ops.Range(9007199254740993L, 9007199254740994L).data<long>().ToArray());
    }

    // softmax(q k^T scale + mask) v, one query head and key head at a time.
    private static IEnumerable<double> Attention(
        double[] q, double[] k, double[] v, int heads, int keyHeads, int n, int d, double scale, Func<int, int, double> mask)
    {
        for (var head = 0; head < heads; head++)
            for (var i = 0; i < n; i++)
            {
                var shared = head / (heads / keyHeads);
                double Q(int j) => q[(head * n + i) * d + j];
                double At(double[] x, int row, int j) => x[(shared * n + row) * d + j];
                var weights = Enumerable.Range(0, n)
                    .Select(row => Math.Exp(scale * Enumerable.Range(0, d).Sum(j => Q(j) * At(k, row, j)) + mask(i, row))).ToArray();
                for (var j = 0; j < d; j++) yield return Enumerable.Range(0, n).Sum(row => weights[row] * At(v, row, j)) / weights.Sum();
            }
    }

    [Theory, MemberData(nameof(Types))]
    public void Attention_is_a_softmax_of_scaled_products(ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        const int heads = 4, keyHeads = 2, n = 5, d = 3;
        var random = new Random(1);
        double[] Draw(int count) => Enumerable.Range(0, count).Select(_ => random.NextDouble() * 2 - 1).ToArray();
        double[] q = Draw(heads * n * d), k = Draw(keyHeads * n * d), v = Draw(keyHeads * n * d), m = Draw(n * n);
        Tensor query = Make(q, dtype, 1, heads, n, d), key = Make(k, dtype, 1, keyHeads, n, d), value = Make(v, dtype, 1, keyHeads, n, d);

        Close(Attention(q, k, v, heads, keyHeads, n, d, 0.4, (_, _) => 0),
            Ops.ScaledDotProductAttention(query, key, value, null, false, 0.4), dtype);
        Close(Attention(q, k, v, heads, keyHeads, n, d, 0.4, (i, j) => j <= i ? 0 : double.NegativeInfinity),
            Ops.ScaledDotProductAttention(query, key, value, null, true, 0.4), dtype);
        Close(Attention(q, k, v, heads, keyHeads, n, d, 1.5, (i, j) => m[i * n + j]),
            Ops.ScaledDotProductAttention(query, key, value, Make(m, dtype, n, n), false, 1.5), dtype);
        var open = Make(m, dtype, n, n).gt(Scalars.Zero).logical_or(eye(n, dtype: ScalarType.Bool));
        Close(Attention(q, k, v, heads, keyHeads, n, d, 1, (i, j) => m[i * n + j] > 0 || i == j ? 0 : double.NegativeInfinity),
            Ops.ScaledDotProductAttention(query, key, value, open, false, 1), dtype);
    }

    [Fact]
    public void Attention_that_means_two_things_is_refused()
    {
        using var scope = NewDisposeScope();
        Tensor x = ones(1, 4, 2, 3), three = ones(1, 3, 2, 3);
        Assert.Equal("BAD_ATTENTION", Refused(x, ones(2, 2)));
        Assert.Equal("BAD_ATTENTION", Refused(three, null));
        string Refused(Tensor key, Tensor? mask) =>
            Assert.Throws<InterpException>(() => Ops.ScaledDotProductAttention(x, key, key, mask, true, 1)).Reason;
    }

    [Theory, MemberData(nameof(Types))]
    public void Fused_AdamW_takes_the_papers_step(ScalarType dtype)
    {
        // Loshchilov and Hutter 2019, algorithm 2, with the decay scaled by the learning rate.
        const double rate = 0.01, beta1 = 0.9, beta2 = 0.99, decay = 0.1, epsilon = 1e-8;
        using var scope = NewDisposeScope();
        double[] p = [.. A], m = new double[6], v = new double[6];
        Tensor parameter = Make(A, dtype, 2, 3), first = zeros_like(parameter), second = zeros_like(parameter);
        var step = zeros([], ScalarType.Float32);
        for (var t = 1; t <= 3; t++)
        {
            var g = B.Select(x => x * t).ToArray();
            step.PlusInPlace(ones([], ScalarType.Float32));
            Ops.FusedAdamW([parameter], [Make(g, dtype, 2, 3)], [first], [second], [step], rate, beta1, beta2, decay, epsilon);
            for (var i = 0; i < 6; i++)
            {
                m[i] = beta1 * m[i] + (1 - beta1) * g[i];
                v[i] = beta2 * v[i] + (1 - beta2) * g[i] * g[i];
                p[i] -= rate * decay * p[i];
                p[i] -= rate * (m[i] / (1 - Math.Pow(beta1, t))) / (Math.Sqrt(v[i] / (1 - Math.Pow(beta2, t))) + epsilon);
            }
        }
        Close(p, parameter, dtype);
        Close(m, first, dtype);
    }

    [Fact]
    public void Fused_AdamW_refuses_lists_of_different_lengths()
    {
        using var scope = NewDisposeScope();
        Tensor[] one = [ones(2)];
        var error = Assert.Throws<InterpException>(() => Ops.FusedAdamW(one, one, [], one, one, 0.1, 0.9, 0.9, 0, 1e-8));
        Assert.Equal("BAD_OPTIMIZER_STATE", error.Reason);
    }
}
