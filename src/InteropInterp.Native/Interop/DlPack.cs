using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace InteropInterp.Native.Interop;

/// <summary>Hands a tensor to another array library without a copy (https://dmlc.github.io/dlpack, unversioned structure).</summary>
public static unsafe class DlPack
{
    [StructLayout(LayoutKind.Sequential)]
    private struct Managed
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

    /// <summary>
    /// A DLManagedTensor* that shares the tensor's memory and keeps it alive until its deleter is called, once, by whoever takes
    /// it or by <see cref="Free"/>.
    /// </summary>
    public static IntPtr Export(Tensor tensor)
    {
        var managed = NativeApi.ToDlPack(tensor.Handle);
        GC.KeepAlive(tensor);
        return managed;
    }

    /// <summary>Calls the deleter of an exported tensor that nobody took.</summary>
    public static void Free(IntPtr managed)
    {
        var pointer = (Managed*)managed;
        if (pointer is not null && pointer->Deleter is not null) pointer->Deleter(pointer);
    }

    /// <summary>What the structure says of itself: (data address with offset, shape, DLPack type code, bits).</summary>
    public static (IntPtr Data, long[] Shape, int Code, int Bits) Describe(IntPtr managed)
    {
        var p = (Managed*)managed;
        return ((IntPtr)((byte*)p->Data + p->Offset), new ReadOnlySpan<long>(p->Shape, p->Rank).ToArray(), p->Code, p->Bits);
    }
}
