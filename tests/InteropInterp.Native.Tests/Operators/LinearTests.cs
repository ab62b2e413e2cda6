using InteropInterp.Native.Operators;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Native.Tests.Operators;

public class LinearTests
{
    [Theory]
    [InlineData(new long[] { 5, 7 }, 9, true)]
    [InlineData(new long[] { 1, 768 }, 3072, true)]
    [InlineData(new long[] { 2, 3, 64 }, 33, false)]
    [InlineData(new long[] { 1, 1, 16 }, 1, true)]
    [InlineData(new long[] { 0, 16 }, 8, true)]
    [InlineData(new long[] { 3, 0, 16 }, 8, false)]
    public void Equals_the_product_in_float64(long[] shape, long width, bool hasBias)
    {
        foreach (var isStoredInOut in new[] { false, true }) Check(shape, width, hasBias, isStoredInOut);
    }

    private static void Check(long[] shape, long width, bool hasBias, bool isStoredInOut)
    {
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        var x = randn(shape);
        var weight = isStoredInOut ? randn(shape[^1], width).t() : randn(width, shape[^1]);
        var bias = hasBias ? randn(width) : null;
        var expected = nn.functional.linear(x.@double(), weight.@double(), bias?.@double());
        var found = Linear.Apply(x, weight, bias);
        Assert.Equal(expected.shape, found.shape);
        Assert.Equal(ScalarType.Float32, found.dtype);
        if (found.numel() > 0) Assert.True((found.@double() - expected).abs().max().item<double>() < 2e-4);
    }

    [Fact]
    public void Takes_views_of_any_strides()
    {
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        var x = randn(4, 6, 20).transpose(0, 1).narrow(2, 3, 10);
        var weight = randn(10, 12).t().narrow(0, 2, 7);
        var bias = randn(14).slice(0, 0, 14, 2);
        var found = Linear.Apply(x, weight, bias);
        var expected = x.@double().MatMul(weight.@double().t()).Plus(bias.@double());
        Assert.Equal([6, 4, 7], found.shape);
        Assert.True((found.@double() - expected).abs().max().item<double>() < 1e-4);
    }

    [Theory]
    [InlineData(false, 3)]
    [InlineData(true, 3)]
    [InlineData(true, 40)]
    public void Has_the_derivatives_of_the_product(bool hasBias, long rows)
    {
        using var scope = NewDisposeScope();
        var x = randn(2, rows, 4, requires_grad: true);
        var weight = randn(4, 5).t();
        var bias = hasBias ? randn(5) : null;
        var cotangent = randn(2, rows, 5);
        // Of a function that is not linear in x, so that its second derivative is not zero.
        var found = Twice(Linear.Apply);
        var expected = Twice((a, w, b) => nn.functional.linear(a, w, b));
        // Second derivatives reach the hundreds: the difference is measured beside them.
        for (var i = 0; i < 3; i++) Assert.True((found[i] - expected[i]).abs().max().item<float>() < 1e-5 * expected[i].abs().max().item<float>());

        Tensor[] Twice(Func<Tensor, Tensor, Tensor?, Tensor> linear)
        {
            var y = linear(x.square(), weight, bias);
            var first = Backward.Gradients([y], [x], [cotangent], createGraph: true)[0]!;
            return [y, first, Backward.Gradients([first.square().sum()], [x])[0]!];
        }
    }

    [Fact]
    public void Has_a_derivative_for_weights_where_one_is_asked_for()
    {
        using var scope = NewDisposeScope();
        var x = randn(3, 4, requires_grad: true);
        var weight = randn(4, 5, requires_grad: true).t();
        Linear.Apply(x, weight, null).sum().backward();
        Assert.True((x.grad! - weight.sum([0])).abs().max().item<float>() < 1e-4);
        var bias = randn(5, requires_grad: true);
        Linear.Apply(x, weight.detach(), bias).sum().backward();
        Assert.Equal(3, bias.grad![0].item<float>());
    }

    [Fact]
    public void Derivatives_leave_nothing_behind()
    {
        using var scope = NewDisposeScope();
        var x = randn(3, 4, requires_grad: true);
        var weight = randn(4, 4).t();
        Walk();
        var before = LiveTensors.Count;
        for (var i = 0; i < 200; i++)
        {
            Walk();
            if (i % 50 == 0) GC.Collect();
        }
        Assert.Equal(before, LiveTensors.Count);

        void Walk()
        {
            using var inner = NewDisposeScope();
            Linear.Apply(Linear.Apply(x, weight, null), weight, null).sum().backward();
            x.grad = null;
        }
    }

    [Fact]
    public void Keeps_NaN_and_infinity()
    {
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        var x = tensor(new[] { float.NaN, 1, float.PositiveInfinity, 1 }, 2, 2);
        var found = Linear.Apply(x, ones(3, 2), null);
        Assert.True(found[0].isnan().all().item<bool>());
        Assert.True(found[1].isposinf().all().item<bool>());
    }
}
