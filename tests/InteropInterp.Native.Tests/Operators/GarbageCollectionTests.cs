using System.Diagnostics;
using InteropInterp.Native.Interop;
using InteropInterp.Native.Operators;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Native.Tests.Operators;

public class GarbageCollectionTests
{
    [Fact]
    public void Operators_inside_scopes_survive_a_thread_that_collects()
    {
        var over = false;
        var collections = 0;
        var collector = new Thread(() =>
        {
            while (!Volatile.Read(ref over))
            {
                GC.Collect(collections++ % 3, GCCollectionMode.Forced, blocking: true);
                GC.WaitForPendingFinalizers();
                Thread.Sleep(0);
            }
        });
        collector.Start();
        var rounds = 0;
        try
        {
            var clock = Stopwatch.StartNew();
            for (; clock.ElapsedMilliseconds < 1500; rounds++)
            {
                using var scope = NewDisposeScope();
                double k = rounds % 7 + 1;
                // Nothing here is held by a local variable but through the scope.
                var result = Ops.Full([8, 8], k, ScalarType.Float32).MatMul(Ops.Full([8, 8], 2, ScalarType.Float32))
                    .Plus(Ops.Full([8, 8], 1, ScalarType.Float32).Times(3)).PlusScaled(Ops.Full([8, 8], k, ScalarType.Float32), -1)
                    .Plus(0.5).DividedBy(2);
                var relu = Dispatcher.Call("aten::clamp", "Tensor", result, Dispatcher.Argument.Some(Ops.Full([1], 0, ScalarType.Float32)));
                Assert.Equal((16 * k + 3 - k + 0.5) / 2, relu[7, 7].item<float>(), 3);
            }
        }
        finally
        {
            Volatile.Write(ref over, true);
            collector.Join();
        }
        Assert.True(rounds > 100 && collections > 20, $"{rounds} rounds, {collections} collections");
    }

    [Fact]
    public void Live_tensors_are_counted()
    {
        var before = LiveTensors.Count;
        using (NewDisposeScope())
        {
            _ = ones(2).Plus(ones(2));
            Assert.Equal(before + 3, LiveTensors.Count);
        }
        Assert.Equal(before, LiveTensors.Count);
    }
}
