using System.Runtime.InteropServices;
using InteropInterp.Native.Interop;
using InteropInterp.Native.Operators;
using TorchSharp;
using static TorchSharp.torch;
using Argument = InteropInterp.Native.Interop.Dispatcher.Argument;

namespace InteropInterp.Native.Tests.Interop;

public partial class DispatcherTests
{
    private static float[] Floats(Tensor t) => t.contiguous().data<float>().ToArray();

    [Fact]
    public void Tensors_numbers_and_flags_arrive()
    {
        using var scope = NewDisposeScope();
        var x = tensor(new[] { 3f, 1, 2, 4 }).reshape(2, 2);
        Assert.Equal([10f, 10, 10, 20], Floats(Dispatcher.Call("aten::mm", "", x, x.t())));
        Assert.Equal([4f, 6], Floats(Dispatcher.Call("aten::cumsum", "", x, 1L, Argument.None)[.., 1]));
        Assert.Equal([3f, 1, 2, 4], Floats(Dispatcher.Call("aten::flatten", "using_ints", x, 0L, -1L)));
        var sorted = Dispatcher.Call("aten::argsort", "", x, 1L, true);
        Assert.Equal([0L, 1, 1, 0], sorted.data<long>().ToArray());
        Assert.Equal([3f, 1, 2, 4, 0, 0], Floats(Dispatcher.Call("aten::cat", "", new[] { x, zeros(1, 2) }, 0L)));
    }

    [Fact]
    public void Optional_tensors_are_there_or_not()
    {
        using var scope = NewDisposeScope();
        var x = tensor(new[] { -2f, 0.5f, 9 });
        var low = tensor(0f);
        var high = tensor(1f);
        Assert.Equal([0f, 0.5f, 1], Floats(Dispatcher.Call("aten::clamp", "Tensor", x, Argument.Some(low), Argument.Some(high))));
        Assert.Equal([0f, 0.5f, 9], Floats(Dispatcher.Call("aten::clamp", "Tensor", x, Argument.Some(low), Argument.None)));
        Assert.Equal([-2f, 0.5f, 1], Floats(Dispatcher.Call("aten::clamp", "Tensor", x, Argument.Some(null), Argument.Some(high))));
        Assert.Equal([0f, 0.5f, 9], Floats(Dispatcher.Call("aten::clamp", "Tensor", x, Argument.Some(low))));
    }

    [Fact]
    public void Optional_numbers_are_there_or_not()
    {
        using var scope = NewDisposeScope();
        var x = tensor(new[] { float.NaN, float.PositiveInfinity, 3 });
        Assert.Equal([5f, 6, 3], Floats(Dispatcher.Call("aten::nan_to_num", "", x, Argument.Some(5), Argument.Some(6.0), Argument.None)));
        Assert.Equal([0f, float.MaxValue, 3], Floats(Dispatcher.Call("aten::nan_to_num", "", x)));
    }

    [Fact]
    public void An_operator_that_refuses_gives_a_typed_error_that_names_it()
    {
        using var scope = NewDisposeScope();
        var error = Assert.Throws<InterpException>(() => Dispatcher.Call("aten::mm", "", ones(2, 3), ones(2, 3)));
        Assert.Equal((ErrorCode.Internal, "LIBTORCH_CALL_FAILED"), (error.Code, error.Reason));
        Assert.Contains("aten::mm", error.Message, StringComparison.Ordinal);
        Assert.Throws<InterpException>(() => Dispatcher.Call("aten::no_such_operator", ""));
        Assert.Equal("TOO_MANY_ARGUMENTS", Assert.Throws<InterpException>(() => Dispatcher.Call("aten::mm", "", new Argument[33])).Reason);
    }

    [Fact]
    public void A_disposed_tensor_is_refused()
    {
        using var scope = NewDisposeScope();
        var x = ones(2);
        x.Dispose();
        Assert.Throws<ObjectDisposedException>(() => Dispatcher.Call("aten::relu", "", x));
    }

    [Fact]
    public void A_hundred_thousand_calls_with_optional_arguments_leak_nothing()
    {
        using var scope = NewDisposeScope();
        var x = ones(4);
        var low = zeros(1);
        void Calls(int count)
        {
            for (var i = 0; i < count; i++)
            {
                Dispatcher.Call("aten::clamp", "Tensor", x, Argument.Some(low), Argument.None).Dispose();
                Dispatcher.Call("aten::nan_to_num", "", x, Argument.Some(1), Argument.Some(2), Argument.None).Dispose();
            }
        }
        Calls(1000);
        var before = Statistics().InUse;
        Calls(50_000);
        var grown = (long)(Statistics().InUse - before);
        // A lost box is 32 bytes at least: 4.8 MB for the 150,000 made here.
        Assert.True(grown < 2_000_000, $"{grown:N0} bytes more in use");
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct AllocatorStatistics
    {
        public nuint Arena, FreeChunks, FastChunks, MappedChunks, Mapped, Unused, FastFree, InUse, Free, Releasable;
    }

    [LibraryImport("libc", EntryPoint = "mallinfo2")]
    private static partial AllocatorStatistics Statistics();
}
