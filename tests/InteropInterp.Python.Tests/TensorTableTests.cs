using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Python.Tests;

public class TensorTableTests
{
    private readonly TensorTable table = new();

    [Fact]
    public void A_tensor_stays_by_its_handle_after_its_scope()
    {
        long handle;
        using (NewDisposeScope()) handle = table.Add(Ops.Full([3], 2, ScalarType.Float32));
        using (NewDisposeScope()) Assert.Equal(6f, table.Get(handle).sum().item<float>());
        Assert.Equal(1, table.Count);
        table.Release(handle);
        table.Drain();
        Assert.Equal(0, table.Count);
        var error = Assert.Throws<InterpException>(() => table.Get(handle));
        Assert.Equal("UNKNOWN_TENSOR", error.Reason);
    }

    [Fact]
    public void What_was_got_outlives_the_release()
    {
        using var scope = NewDisposeScope();
        var handle = table.Add(ones(4));
        var got = table.Get(handle);
        table.Release(handle);
        table.Release(handle);
        table.Drain();
        Assert.Equal(4f, got.sum().item<float>());
    }

    [Fact]
    public void A_release_frees_by_itself_in_the_background()
    {
        var before = LiveTensors.Count;
        for (var i = 0; i < 100; i++) table.Release(table.Add(ones(2)));
        Assert.True(SpinWait.SpinUntil(() => table.Count == 0 && LiveTensors.Count == before, 10_000));
    }

    [Fact]
    public void Getting_and_releasing_race_without_harm()
    {
        for (var round = 0; round < 200; round++)
        {
            var handle = table.Add(ones(8));
            using var start = new Barrier(3);
            var threads = Enumerable.Range(0, 2).Select(_ => new Thread(() =>
            {
                using var scope = NewDisposeScope();
                start.SignalAndWait();
                try
                {
                    Assert.Equal(8f, table.Get(handle).sum().item<float>());
                }
                catch (InterpException e) when (e.Reason == "UNKNOWN_TENSOR")
                {
                }
            })).ToList();
            threads.ForEach(t => t.Start());
            start.SignalAndWait();
            table.Release(handle);
            table.Drain();
            threads.ForEach(t => Assert.True(t.Join(10_000)));
        }
        Assert.True(SpinWait.SpinUntil(() => table.Count == 0, 10_000));
    }
}
