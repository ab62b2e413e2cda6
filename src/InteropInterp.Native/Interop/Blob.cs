using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Native.Interop;

/// <summary>Tensors over memory that libtorch did not allocate, without a copy.</summary>
public static unsafe class Blob
{
    /// <summary>A contiguous tensor over memory that the caller keeps alive for longer than the tensor and all its views.</summary>
    public static Tensor View(IntPtr data, ReadOnlySpan<long> shape, ScalarType dtype) => Create(data, shape, dtype, null);

    /// <summary>
    /// A contiguous tensor over memory of <paramref name="owner"/>, which is disposed once the last view of the tensor is gone.
    /// The deleter may run on any thread and must not block.
    /// </summary>
    public static Tensor Own(IntPtr data, ReadOnlySpan<long> shape, ScalarType dtype, IDisposable owner) => Create(data, shape, dtype, owner);

    /// <summary>Where the tensor's first element lies; on the CPU, and valid while the tensor lives.</summary>
    public static IntPtr Address(Tensor tensor)
    {
        void* address;
        NativeApi.Check(NativeApi.DataPointer(tensor.Handle, &address), "aoti_torch_get_data_ptr");
        GC.KeepAlive(tensor);
        return (IntPtr)address;
    }

    private static readonly Lock Gate = new();
    private static readonly Dictionary<IntPtr, List<IDisposable>> Owners = [];

    private static Tensor Create(IntPtr data, ReadOnlySpan<long> shape, ScalarType dtype, IDisposable? owner)
    {
        var deleter = owner is null
            ? (IntPtr)(delegate* unmanaged[Cdecl]<void*, void>)&Nothing
            : (IntPtr)(delegate* unmanaged[Cdecl]<void*, void>)&Release;
        if (owner is not null) Remember(data, owner);
        fixed (long* sizes = shape)
        {
            var handle = NativeApi.FromBlob((void*)data, deleter, sizes, shape.Length, (sbyte)dtype, (sbyte)dtype, (int)DeviceType.CPU, -1, 0);
            if (handle != IntPtr.Zero) return Tensor.UnsafeCreateTensor(handle);
        }
        if (owner is not null) Forget(data)?.Dispose();
        throw new InterpException(ErrorCode.Internal, "FROM_BLOB_FAILED",
            $"libtorch made no tensor of shape [{string.Join(", ", shape.ToArray())}] and type {dtype} over given memory.");
    }

    // The deleter is told the address only; one address may carry several tensors.
    private static void Remember(IntPtr data, IDisposable owner)
    {
        lock (Gate)
        {
            if (!Owners.TryGetValue(data, out var list)) Owners[data] = list = [];
            list.Add(owner);
        }
    }

    private static IDisposable? Forget(IntPtr data)
    {
        lock (Gate)
        {
            if (!Owners.TryGetValue(data, out var list)) return null;
            var owner = list[^1];
            list.RemoveAt(list.Count - 1);
            if (list.Count == 0) Owners.Remove(data);
            return owner;
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void Nothing(void* data)
    {
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void Release(void* data) => Forget((IntPtr)data)?.Dispose();
}
