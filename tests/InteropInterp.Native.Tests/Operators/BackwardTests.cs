using InteropInterp.Native.Operators;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Native.Tests.Operators;

public class BackwardTests
{
    private static Tensor Leaf(params double[] values) => tensor(values, requires_grad: true);

    private static double[] Values(Tensor? t) => t!.data<double>().ToArray();

    [Fact]
    public void Gradients_are_those_of_the_formula()
    {
        using var mode = enable_grad();
        using var scope = NewDisposeScope();
        // f = sum c (x^2 y), g = sum d (x + y).
        Tensor x = Leaf(2, -3), y = Leaf(5, 0.5), c = tensor(new[] { 1.0, 10 }), d = tensor(new[] { 3.0, 4 });
        var gradients = Backward.Gradients([x * x * y, x.Plus(y)], [x, y], [c, d]);
        Assert.Equal([2 * 2 * 5 + 3, 10 * 2 * -3 * 0.5 + 4], Values(gradients[0]));
        Assert.Equal([4 + 3, 10 * 9 + 4.0], Values(gradients[1]));
    }

    [Fact]
    public void Inputs_may_be_inner_tensors_and_what_is_not_reached_has_none()
    {
        using var mode = enable_grad();
        using var scope = NewDisposeScope();
        Tensor x = Leaf(2, 3), unrelated = Leaf(1), inner = x * x;
        var gradients = Backward.Gradients([inner.sum() * inner.sum()], [inner, unrelated]);
        Assert.Equal([26.0, 26], Values(gradients[0]));
        Assert.Null(gradients[1]);
    }

    [Fact]
    public void The_inputs_own_gradients_are_left_alone()
    {
        using var mode = enable_grad();
        using var scope = NewDisposeScope();
        var x = Leaf(2);
        (x * x).sum().backward();
        Assert.Equal([6.0], Values(Backward.Gradients([(x.Times(6)).sum()], [x])[0]));
        Assert.Equal([4.0], Values(x.grad));
        Assert.Equal([12.0], Values(Backward.Gradients([(x * x * x).sum()], [x])[0]));
        Assert.Equal([4.0], Values(x.grad));
    }

    [Fact]
    public void A_gradient_may_be_differentiated_again()
    {
        using var mode = enable_grad();
        using var scope = NewDisposeScope();
        var x = Leaf(2);
        var first = Backward.Gradients([x * x * x], [x], createGraph: true)[0]!;
        Assert.Equal([12.0], Values(first.detach()));
        Assert.Equal([12.0], Values(Backward.Gradients([first], [x])[0]));
    }

    [Fact]
    public void A_graph_is_walked_twice_only_when_it_was_kept()
    {
        using var mode = enable_grad();
        using var scope = NewDisposeScope();
        var x = Leaf(2);
        var y = (x * x).sum();
        Assert.Equal([4.0], Values(Backward.Gradients([y], [x], retainGraph: true)[0]));
        Assert.Equal([4.0], Values(Backward.Gradients([y], [x])[0]));
        var error = Assert.Throws<InterpException>(() => Backward.Gradients([y], [x]));
        Assert.Equal("NO_GRADIENT", error.Reason);
        Assert.Contains("second time", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_libtorch_refuses_is_an_error_and_not_the_end()
    {
        using var mode = enable_grad();
        using var scope = NewDisposeScope();
        var x = Leaf(2, 3);
        Assert.Contains("scalar", Throws([x * x], [x]), StringComparison.Ordinal);
        Assert.Contains("does not require", Throws([tensor(1.0)], [x]), StringComparison.Ordinal);
        Assert.Contains("Input 0", Throws([x.sum()], [tensor(1.0)]), StringComparison.Ordinal);
        Assert.Contains("cotangents", Throws([x.sum()], [x], []), StringComparison.Ordinal);
        Assert.Contains("shape", Throws([x * x], [x], [ones(3, dtype: ScalarType.Float64)]), StringComparison.Ordinal);
        var changed = x.Times(1);
        var square = changed * changed;
        changed.zero_();
        Assert.Contains("inplace", Throws([square.sum()], [x]), StringComparison.Ordinal);
        static string Throws(Tensor[] outputs, Tensor[] inputs, Tensor[]? cotangents = null) =>
            Assert.Throws<InterpException>(() => Backward.Gradients(outputs, inputs, cotangents)).Message;
    }
}
