using InteropInterp.Native.Operators;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Tests;

public class SparseCodesTests
{
    [Theory]
    [InlineData(ScalarType.Float32, 0.05)]
    [InlineData(ScalarType.Float64, 0.05)]
    [InlineData(ScalarType.Float64, 0.0)]
    [InlineData(ScalarType.Float64, 1.0)]
    public void Sparse_codes_are_the_dense_ones_and_so_are_their_products(ScalarType dtype, double share)
    {
        using var scope = NewDisposeScope();
        var codes = Codes(share, dtype, 3, 7, 50);
        using var generator = new Generator(2);
        var matrix = randn([50, 9], dtype, generator: generator);
        using var sparse = SparseCodes.Of(codes);
        Assert.Equal(codes.ne(Scalars.Zero).sum().item<long>(), sparse.Count);
        Assert.Equal(0, Golden.Distance(codes, sparse.ToDense()));
        var product = sparse.Times(matrix);
        Assert.Equal([3, 7, 9], product.shape);
        Assert.InRange(Golden.Distance(codes.MatMul(matrix), product), 0, dtype == ScalarType.Float64 ? 1e-13 : 1e-5);
    }

    [Fact]
    public void Features_of_a_token_lie_between_its_pointers_and_rise()
    {
        using var scope = NewDisposeScope();
        using var sparse = SparseCodes.Of(tensor(new[] { 0, 2.5f, 0, -1, 0, 0, 0, 0, 4, 0, 0, 3 }, [3, 4]));
        Assert.Equal([0, 2, 2, 4], sparse.RowPointers.data<long>().ToArray());
        Assert.Equal([1, 3, 0, 3], sparse.Features.data<long>().ToArray());
        Assert.Equal([2.5f, -1, 4, 3], sparse.Values.data<float>().ToArray());
    }

    [Fact]
    public void A_single_tokens_codes_need_no_batch_axis()
    {
        using var scope = NewDisposeScope();
        using var sparse = SparseCodes.Of(tensor(new[] { 0, 2.0, 0 }));
        Assert.Equal([2.0, 4.0], sparse.Times(tensor(new[] { 9, 9, 1, 2, 9.0, 9 }, [3, 2])).data<double>().ToArray());
    }

    internal static Tensor Codes(double share, ScalarType dtype, params long[] shape)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        using var limit = share.ToScalar();
        var mask = rand(shape, generator: generator).lt(limit);
        return (randn(shape, dtype, generator: generator) * mask.to(dtype)).MoveToOuterDisposeScope();
    }
}
