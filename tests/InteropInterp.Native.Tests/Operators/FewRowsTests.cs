using InteropInterp.Native.Operators;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Native.Tests.Operators;

public class FewRowsTests
{
    public static TheoryData<int, int, int> Shapes()
    {
        var shapes = new TheoryData<int, int, int>();
        // Inputs and outputs with and without a rest, one block and many, one thread and many.
        foreach (var (inputs, outputs) in new[] { (8, 16), (13, 17), (3, 100), (64, 1000), (768, 2309), (1031, 768), (16, 50257) })
            for (var rows = 1; rows <= FewRows.Most; rows++) shapes.Add(rows, inputs, outputs);
        return shapes;
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Equals_the_product_in_float64_and_each_row_is_what_it_is_alone(int rows, int inputs, int outputs)
    {
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        var (x, weight, bias) = (randn(rows, inputs), randn(inputs, outputs).t(), randn(outputs));
        Assert.True(FewRows.Takes(x, weight, bias));
        foreach (var added in new[] { bias, null })
        {
            var found = Linear.Apply(x, weight, added);
            var expected = nn.functional.linear(x.@double(), weight.@double(), added?.@double());
            Assert.Equal([rows, outputs], found.shape);
            Assert.True((found.@double() - expected).abs().max().item<double>() < 1e-6 * inputs);
            for (var row = 0; row < rows; row++) Assert.True(Linear.Apply(x[row], weight, added).allclose(found[row], 0, 0));
        }
    }

    [Fact]
    public void Takes_views_of_any_strides()
    {
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        var (x, weight, bias) = (randn(64, 3, 2).transpose(0, 2), randn(64, 32).t(), randn(64).slice(0, 0, 64, 2));
        foreach (var view in new[] { x, randn(1, 64).expand(5, -1), randn(4, 128).narrow(1, 30, 64) })
        {
            Assert.True(FewRows.Takes(view, weight, bias));
            var expected = nn.functional.linear(view.@double(), weight.@double(), bias.@double());
            Assert.True((Linear.Apply(view, weight, bias).@double() - expected).abs().max().item<double>() < 1e-4);
        }
    }

    [Fact]
    public void Takes_only_what_it_computes()
    {
        using var scope = NewDisposeScope();
        var weight = randn(32, 48).t();
        using (no_grad())
        {
            Assert.True(FewRows.Takes(randn(2, 4, 32), weight, null));
            Assert.False(FewRows.Takes(randn(3, 3, 32), weight, null)); // nine rows
            Assert.False(FewRows.Takes(randn(0, 32), weight, null));
            Assert.False(FewRows.Takes(randn(2, 16), weight, null));
            Assert.False(FewRows.Takes(randn(2, 32), randn(48, 32), null)); // the other way round in memory
            Assert.False(FewRows.Takes(randn(2, 32), randn(32, 96).t().narrow(0, 0, 48), null)); // gaps between rows
            Assert.False(FewRows.Takes(randn(2, 32), randn(32, 15).t(), null));
            Assert.False(FewRows.Takes(randn(2, 32), weight.@double(), null));
            Assert.False(FewRows.Takes(randn(2, 32), weight, randn(1))); // would be broadcast
            Assert.False(FewRows.Takes(randn(2, 32), weight, zeros(48, ScalarType.Float64)));
            Assert.False(FewRows.Takes(randn(2, 32), weight.to(META), null));
        }
        Assert.False(FewRows.Takes(randn(2, 32), weight, null)); // somebody may want a derivative
    }

    [Fact]
    public void Threads_do_not_disturb_each_other()
    {
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        var weight = randn(512, 1024).t();
        var inputs = Enumerable.Range(0, 4).Select(i => randn(i + 1, 512)).ToList();
        var expected = inputs.Select(x => Linear.Apply(x, weight, null)).ToList();
        var same = new bool[inputs.Count];
        var threads = inputs.Select((x, i) => new Thread(() =>
        {
            using var own = NewDisposeScope();
            using var silent = no_grad();
            same[i] = Enumerable.Range(0, 200).All(_ => Linear.Apply(x, weight, null).allclose(expected[i], 0, 0));
        })).ToList();
        threads.ForEach(t => t.Start());
        threads.ForEach(t => t.Join());
        Assert.All(same, Assert.True);
    }
}
