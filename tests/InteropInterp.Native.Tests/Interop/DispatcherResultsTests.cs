using InteropInterp.Native.Interop;
using InteropInterp.Native.Operators;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Native.Tests.Interop;

public class DispatcherResultsTests
{
    [Fact]
    public void An_operator_of_several_results_gives_them_all_in_order()
    {
        using var scope = NewDisposeScope();
        // (bags, offset2bag, bag_size, max_indices).
        var results = Dispatcher.CallMany("aten::embedding_bag", "", 4,
            tensor(new float[] { 1, 2, 3, 4, 5, 6 }, [3, 2]), tensor(new long[] { 0, 2, 1 }), tensor(new long[] { 0, 2, 3 }),
            false, 0L, false, Dispatcher.Argument.Some(tensor(new float[] { 1, 10, 100 })), true);
        Assert.Equal(4, results.Length);
        Assert.Equal([51, 62, 300, 400], results[0].data<float>().ToArray());
        Assert.Equal(ScalarType.Int64, results[2].dtype);
    }

    [Fact]
    public void More_results_than_arguments_are_no_trouble()
    {
        using var scope = NewDisposeScope();
        var results = Dispatcher.CallMany("aten::frexp", "Tensor", 2, tensor(new float[] { 8, 3 }));
        Assert.Equal([0.5f, 0.75f], results[0].data<float>().ToArray());
        Assert.Equal([4, 2], results[1].data<int>().ToArray());
    }
}
