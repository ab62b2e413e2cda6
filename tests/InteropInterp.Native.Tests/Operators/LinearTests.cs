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
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        var x = randn(shape);
        var weight = randn(width, shape[^1]);
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

    [Fact]
    public void Has_a_derivative_where_one_is_asked_for()
    {
        using var scope = NewDisposeScope();
        var x = randn(3, 4, requires_grad: true);
        var weight = randn(5, 4);
        Linear.Apply(x, weight, null).sum().backward();
        Assert.True((x.grad! - weight.sum([0])).abs().max().item<float>() < 1e-4);
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
