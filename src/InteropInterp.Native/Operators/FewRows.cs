using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using InteropInterp.Native.Interop;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Native.Operators;

/// <summary>
/// x W^T + b of a few rows, about as fast as the weight comes from memory: it is read once, in stretches that lie side by side. (GPT-2 small's weights at 1 and 8 rows on two cores: 19 and 14 GB/s while text is generated, where oneDNN's products make it 15 and 8.)
/// </summary>
internal static unsafe class FewRows
{
    /// <summary>With more rows the products take longer than the weight needs to arrive, and other kernels are faster.</summary>
    public const int Most = 8;

    private const long WorthThreads = 1 << 18; // numbers of the weight

    /// <summary>Whether it computes this product: without a derivative, of float32 on the CPU, with a weight that is [in, out] in memory.</summary>
    public static bool Takes(Tensor x, Tensor weight, Tensor? bias)
    {
        if (!Fma.IsSupported || is_grad_enabled() || !IsFloat(x) || !IsFloat(weight) || (bias is not null && !IsFloat(bias))) return false;
        var (outputs, inputs, count) = (weight.size(0), weight.size(1), x.numel());
        return weight.stride(0) == 1 && weight.stride(1) == outputs && outputs >= FewRowsProduct.Lanes
            && count > 0 && count <= Most * inputs && x.size(-1) == inputs && (bias is null || bias.numel() == outputs);
    }

    /// <inheritdoc cref="Linear.Apply"/>
    public static Tensor Apply(Tensor x, Tensor weight, Tensor? bias)
    {
        using var scope = NewDisposeScope();
        var (outputs, inputs) = (weight.size(0), weight.size(1));
        var rows = (int)(x.numel() / inputs);
        long[] shape = [.. x.shape[..^1], outputs];
        var result = empty(shape, ScalarType.Float32, CPU);
        (x, bias) = (x.contiguous(), bias?.contiguous());
        var threads = inputs * outputs < WorthThreads ? 1 : get_num_threads();
        var product = new FewRowsProduct(rows, inputs, outputs, threads)
        {
            X = (float*)Blob.Address(x),
            Weight = (float*)Blob.Address(weight),
            Bias = bias is null ? null : (float*)Blob.Address(bias),
            Result = (float*)Blob.Address(result),
        };
        Run(&product, threads);
        GC.KeepAlive(x);
        GC.KeepAlive(weight);
        GC.KeepAlive(bias);
        return result.MoveToOuterDisposeScope();
    }

    private static bool IsFloat(Tensor x) => x.dtype == ScalarType.Float32 && x.device_type == DeviceType.CPU;

    // On libtorch's own threads, which wait awake for a moment after each operator: others would have to be woken, and share the
    // cores with them.
    private static void Run(FewRowsProduct* product, int threads)
    {
        if (threads == 1) Work(product);
        else if (NativeApi.InParallel is not null) NativeApi.InParallel(&WorkOnThread, product, (uint)threads, 0);
        else Parallel.For(0, threads, _ => Work(product));
    }

    [UnmanagedCallersOnly]
    private static void WorkOnThread(void* product) => Work((FewRowsProduct*)product);

    private static void Work(FewRowsProduct* product)
    {
        while (product->TryNextBlock())
        {
        }
    }
}
