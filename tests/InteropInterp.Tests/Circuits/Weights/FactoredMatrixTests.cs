using InteropInterp.Circuits;
using InteropInterp.Circuits.Weights;
using InteropInterp.Native.Operators;
using InteropInterp.Plans;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Circuits.Weights;

public class FactoredMatrixTests
{
    private const double Exact = 1e-12;

    private readonly Generator generator;

    public FactoredMatrixTests()
    {
        InteropInterp.Native.LibTorch.Load();
        generator = new Generator(8);
    }

    private Tensor Draw(params long[] shape) => randn(shape, ScalarType.Float64, generator: generator);

    private static void Near(Tensor expected, Tensor actual, double tolerance = Exact)
    {
        Assert.Equal(expected.shape, actual.shape);
        Assert.InRange(Golden.Distance(actual, expected), 0, tolerance);
    }

    private static string Reason(Action action) => Assert.Throws<InterpException>(action).Reason;

    [Fact]
    public void A_matrix_worked_out_by_hand_has_its_norm_singular_values_and_eigenvalues()
    {
        // papers.md §7.3: A = [[1,2],[0,1],[1,0]], B = [[1,0,2],[0,1,1]].
        using var scope = NewDisposeScope();
        var m = new FactoredMatrix(tensor(new double[,] { { 1, 2 }, { 0, 1 }, { 1, 0 } }), tensor(new double[,] { { 1, 0, 2 }, { 0, 1, 1 } }));
        Assert.Equal(Math.Sqrt(28), m.Norm().item<double>(), Exact);
        var singular = m.Svd().S.data<double>().ToArray();
        Assert.Equal(5.162278, singular[0], 1e-6);
        Assert.Equal(1.162278, singular[1], 1e-6);
        var eigenvalues = m.Eigenvalues();
        Assert.Equal([2 - Math.Sqrt(3), 2 + Math.Sqrt(3)], eigenvalues.real.data<double>().ToArray().Order().Select(e => Math.Round(e, 12)),
            (a, b) => Math.Abs(a - b) < 1e-10);
        Assert.Equal(1, CircuitEigenvalues.Positivity(eigenvalues).item<double>(), Exact);
        Assert.Equal((3L, 2L, 3L), (m.Rows, m.Middle, m.Columns));
    }

    [Fact]
    public void Its_algebra_is_that_of_the_product()
    {
        using var scope = NewDisposeScope();
        var m = new FactoredMatrix(Draw(2, 3, 7, 4), Draw(3, 4, 6));
        Assert.Equal([2, 3, 7, 6], m.Shape);
        Assert.Equal([2, 3, 4, 6], m.B.shape);
        var product = m.AB;
        var (right, left, wide) = (Draw(6, 5), Draw(5, 7), new FactoredMatrix(Draw(6, 2), Draw(2, 9)));
        Near(product.MatMul(right), m.Times(right).AB);
        Near(left.MatMul(product), m.After(left).AB);
        Near(product.MatMul(wide.AB), m.Times(wide).AB);
        Assert.Equal(2, m.Times(wide).Middle);
        Near(product.Times(3), m.Times(3).AB);
        Near(product.transpose(-2, -1), m.T.AB);
        var (column, row) = (Draw(6), Draw(7));
        Near(product.MatMul(column), m.TimesVector(column));
        Near(row.MatMul(product), m.AfterVector(row));
        Near(product.square().sum([-2, -1]).sqrt(), m.Norm());
        Near(product[..2, ..2, ..2, ..2], m.Corner(2));
        Near(product.unsqueeze(1), m.Unsqueeze(1).AB);
    }

    [Fact]
    public void Its_singular_value_decomposition_is_orthonormal_and_gives_it_back()
    {
        using var scope = NewDisposeScope();
        foreach (var m in new[] { new FactoredMatrix(Draw(3, 8, 4), Draw(3, 4, 6)), new FactoredMatrix(Draw(3, 9), Draw(9, 5)) })
        {
            var (u, s, v) = m.Svd();
            Near(m.AB, (u * s.unsqueeze(-2)).MatMul(v.transpose(-2, -1)));
            var one = eye(s.size(-1), dtype: ScalarType.Float64);
            Near(one.expand([.. m.Shape.SkipLast(2), .. one.shape]), u.transpose(-2, -1).MatMul(u));
            Near(one.expand([.. m.Shape.SkipLast(2), .. one.shape]), v.transpose(-2, -1).MatMul(v));
            Near(m.AB, m.MakeEven().AB);
            Near(diag_embed(s), m.MakeEven().A.transpose(-2, -1).MatMul(m.MakeEven().A));
            Near(m.AB.transpose(-2, -1).MatMul(m.AB), m.CollapseLeft().transpose(-2, -1).MatMul(m.CollapseLeft()), 1e-11);
            Near(m.AB.MatMul(m.AB.transpose(-2, -1)), m.CollapseRight().MatMul(m.CollapseRight().transpose(-2, -1)), 1e-11);
        }
    }

    [Fact]
    public void Indexing_is_that_of_the_product_and_keeps_it_a_matrix()
    {
        using var scope = NewDisposeScope();
        var m = new FactoredMatrix(Draw(2, 3, 7, 4), Draw(2, 3, 4, 6));
        Near(m.AB[1], m[1].AB);
        Near(m.AB[1, 2], m[-1, 2].AB);
        Near(m.AB[1, 2].narrow(0, 3, 1), m[1, 2, 3].AB);
        Near(m.AB[1, 2, 3, 5].view(1, 1), m[1, 2, 3, 5].AB);
        Near(m.AB.narrow(1, 1, 1), m.Select(Positions.All, Positions.At(1)).AB);
        Near(m.AB[0, 1].narrow(0, 0, 3).index_select(1, tensor(new[] { 1L, 4L })), m[0, 1].Select(Positions.Slice(0, 3), Positions.At(1, 4)).AB);
        Assert.Equal("INDEX_OUT_OF_RANGE", Reason(() => _ = m[2]));
        Assert.Equal("INDEX_OUT_OF_RANGE", Reason(() => _ = m[0, 1, 7]));
        Assert.Equal("TOO_MANY_INDICES", Reason(() => _ = m[0, 1, 2, 3, 4]));
    }

    [Fact]
    public void Factors_that_do_not_fit_are_refused_by_name()
    {
        using var scope = NewDisposeScope();
        Assert.Equal("FACTORS_DO_NOT_MATCH", Reason(() => _ = new FactoredMatrix(Draw(3, 4), Draw(5, 3))));
        Assert.Equal("FACTORS_DO_NOT_MATCH", Reason(() => _ = new FactoredMatrix(Draw(2, 3, 4), Draw(3, 4, 3))));
        Assert.Equal("NOT_A_MATRIX", Reason(() => _ = new FactoredMatrix(Draw(4), Draw(4, 3))));
        var m = new FactoredMatrix(Draw(5, 2), Draw(2, 4));
        Assert.Equal("FACTORS_DO_NOT_MATCH", Reason(() => _ = m.Times(Draw(5, 5))));
        Assert.Equal("NOT_SQUARE", Reason(() => _ = m.BA));
        var broken = new FactoredMatrix(Draw(3, 2).Fill(double.NaN), Draw(2, 3));
        Assert.Equal("NOT_FINITE", Reason(() => _ = broken.Eigenvalues()));
        Assert.Equal("NOT_FINITE", Reason(() => _ = broken.Svd()));
    }

    [Fact]
    public void The_largest_entries_are_found_block_by_block()
    {
        using var scope = NewDisposeScope();
        var m = new FactoredMatrix(Draw(300, 3), Draw(3, 200));
        var found = TopEntries.Of(m, 7);
        var (values, places) = m.AB.flatten().topk(7);
        Assert.Equal(places.data<long>().ToArray(), found.Select(e => (long)e.Row * 200 + e.Column));
        Assert.Equal(values.data<double>().ToArray(), found.Select(e => e.Value), (a, b) => Math.Abs(a - b) < Exact);
    }
}
