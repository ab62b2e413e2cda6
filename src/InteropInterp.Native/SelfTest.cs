using InteropInterp.Native.Operators;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Native;

/// <summary>Proves at start-up that this libtorch computes, so that a wrong build is named here and not by wrong numbers later.</summary>
internal static class SelfTest
{
    public static void Run(LibTorchInfo info)
    {
        Check(info, "a matrix product", () =>
        {
            var a = tensor(new[] { 1f, 2f, 3f, 4f }).reshape(2, 2);
            return Equal(a.MatMul(a), 7, 10, 15, 22);
        });
        Check(info, "a tensor's shape and strides", () =>
        {
            var t = zeros(3, 5).t();
            return t.shape is [5, 3] && t.stride() is [1, 5] && t.device_type == DeviceType.CPU;
        });
        Check(info, "float64", () => Equal(tensor(new[] { 1.0, 2.0 }).exp().log(), 1, 2));
        Check(info, "automatic differentiation", () =>
        {
            using var mode = enable_grad();
            var x = tensor(new[] { 1f, 3f }, requires_grad: true);
            (x * x).sum().backward();
            return Equal(x.grad!, 2, 6);
        });
        Check(info, "operators by name", () =>
        {
            var x = tensor(new[] { 3f, 4f });
            return Equal(Interop.Dispatcher.Call("aten::relu", "", x.neg()), 0, 0);
        });
        Check(info, "memory that is not libtorch's", () =>
        {
            var values = new[] { 5f, 6f };
            unsafe
            {
                fixed (float* p = values)
                {
                    using var blob = Interop.Blob.View((IntPtr)p, [2], ScalarType.Float32);
                    return Equal(blob.clone(), 5, 6);
                }
            }
        });
    }

    internal static void Check(LibTorchInfo info, string what, Func<bool> test)
    {
        Exception? cause = null;
        try
        {
            using var scope = NewDisposeScope();
            if (test()) return;
        }
        catch (Exception e)
        {
            cause = e;
        }
        throw new InterpException(ErrorCode.Internal, "LIBTORCH_SELF_TEST",
            $"libtorch {info.Version} ({info.Origin}, {info.Folder}) fails its self-test: {what}.", innerException: cause);
    }

    private static bool Equal(Tensor tensor, params double[] expected)
    {
        var values = tensor.to(ScalarType.Float64).flatten().data<double>().ToArray();
        return values.Length == expected.Length && values.Zip(expected).All(x => Math.Abs(x.First - x.Second) < 1e-6);
    }
}
