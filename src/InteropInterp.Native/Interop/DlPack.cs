using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace InteropInterp.Native.Interop;

/// <summary>
/// Tensors shared with other array libraries without a copy (https://dmlc.github.io/dlpack, the unversioned structure, which
/// every library reads). libtorch's own conversions throw C++ exceptions, so everything is checked before they are called.
/// </summary>
public static unsafe class DlPack
{
    private const int Cpu = 1, Cuda = 2;

    /// <summary>DLManagedTensor.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct Managed
    {
        public void* Data;
        public int DeviceType, DeviceId, Rank;
        public byte Code, Bits;
        public ushort Lanes;
        public long* Shape, Strides;
        public ulong Offset;
        public void* Context;
        public delegate* unmanaged<Managed*, void> Deleter;
    }

    /// <summary>DLPack's type codes: signed 0, unsigned 1, float 2, bfloat 4, complex 5, bool 6.</summary>
    private static readonly Dictionary<ScalarType, (byte Code, byte Bits)> Types = new()
    {
        [ScalarType.Byte] = (1, 8),
        [ScalarType.Int8] = (0, 8),
        [ScalarType.Int16] = (0, 16),
        [ScalarType.Int32] = (0, 32),
        [ScalarType.Int64] = (0, 64),
        [ScalarType.Float16] = (2, 16),
        [ScalarType.Float32] = (2, 32),
        [ScalarType.Float64] = (2, 64),
        [ScalarType.BFloat16] = (4, 16),
        [ScalarType.ComplexFloat32] = (5, 64),
        [ScalarType.ComplexFloat64] = (5, 128),
        [ScalarType.Bool] = (6, 8),
    };

    /// <summary>
    /// A DLManagedTensor* that shares the tensor's memory and keeps it alive until its deleter is called, once, by whoever takes
    /// it or by <see cref="Free"/>.
    /// </summary>
    /// <exception cref="InterpException">NOT_SHAREABLE: a tensor whose memory alone does not say its values.</exception>
    public static IntPtr Export(Tensor tensor)
    {
        if (tensor.is_sparse || tensor.is_conj() || tensor.is_neg() || !Types.ContainsKey(tensor.dtype))
            throw InterpException.Invalid("NOT_SHAREABLE",
                $"This {tensor.dtype} tensor is sparse, lazily conjugated or negated, or of a type that DLPack has no code for; " +
                "share a dense, resolved copy.");
        var managed = NativeApi.ToDlPack(tensor.Handle);
        GC.KeepAlive(tensor);
        return (IntPtr)managed;
    }

    /// <summary>
    /// A tensor over the memory that <paramref name="managed"/> describes. It owns the structure from here on: its deleter is
    /// called once the last view is gone, on whichever thread that happens.
    /// </summary>
    /// <exception cref="InterpException">NOT_SHAREABLE; the structure then still belongs to the caller.</exception>
    public static Tensor Import(IntPtr managed)
    {
        var source = (Managed*)managed;
        Check(source is not null && source->Rank is >= 0 and <= 64 && source->Lanes == 1, "a null pointer, vector elements or a bad rank");
        Check(source->DeviceType == Cpu || source->DeviceType == Cuda && cuda_is_available(), $"device type {source->DeviceType}");
        Check(Types.ContainsValue((source->Code, source->Bits)), $"element type code {source->Code} with {source->Bits} bits");
        for (var i = 0; i < source->Rank; i++)
            Check(source->Shape[i] >= 0 && (source->Strides is null || source->Strides[i] >= 0), "a negative size or stride");
        // The Tensor is put straight into the heap block that TorchSharp will later delete.
        var handle = (IntPtr*)NativeApi.New((nuint)sizeof(IntPtr));
        var noFunction = stackalloc ulong[4];
        new Span<ulong>(noFunction, 4).Clear();
        NativeApi.FromDlPack(handle, source, noFunction);
        return Tensor.UnsafeCreateTensor((IntPtr)handle);
    }

    /// <summary>Calls the deleter of an exported tensor that nobody took.</summary>
    public static void Free(IntPtr managed)
    {
        var pointer = (Managed*)managed;
        if (pointer is not null && pointer->Deleter is not null) pointer->Deleter(pointer);
    }

    /// <summary>What the structure says of itself: (address of the first element, shape, DLPack type code, bits).</summary>
    public static (IntPtr Data, long[] Shape, int Code, int Bits) Describe(IntPtr managed)
    {
        var p = (Managed*)managed;
        return ((IntPtr)((byte*)p->Data + p->Offset), new ReadOnlySpan<long>(p->Shape, p->Rank).ToArray(), p->Code, p->Bits);
    }

    /// <summary>The type code and bits of an element type.</summary>
    internal static (byte Code, byte Bits) TypeOf(ScalarType dtype) => Types.TryGetValue(dtype, out var type)
        ? type
        : throw InterpException.Invalid("NOT_SHAREABLE", $"Element type {dtype} has no DLPack code.");

    private static void Check(bool condition, string found)
    {
        if (!condition)
            throw InterpException.Invalid("NOT_SHAREABLE",
                $"The DLPack structure describes {found}; expected a plain tensor on the CPU or CUDA.");
    }
}
