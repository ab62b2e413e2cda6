using System.Runtime.InteropServices;
using TorchSharp;

namespace InteropInterp.Native.Interop;

/// <summary>
/// The few functions of libtorch that TorchSharp does not offer. The <c>torch_*</c> and <c>aoti_torch_*</c> names are PyTorch's
/// versioned C interface; the mangled one is tied to 2.10-2.12. Kept in one place, bound once, missing names are named.
/// </summary>
internal static unsafe class NativeApi
{
    /// <summary>The interface version the calls below are written for: 2.10.</summary>
    public const ulong WrittenFor = 0x020a_0000_0000_0000;

    public static ulong AbiVersion { get; private set; }

    public static delegate* unmanaged<byte*, byte*, ulong*, ulong, int> CallDispatcher { get; private set; }
    public static delegate* unmanaged<IntPtr, IntPtr*, int> NewTensorHandle { get; private set; }
    public static delegate* unmanaged<IntPtr, int> DeleteTensorHandle { get; private set; }
    public static delegate* unmanaged<IntPtr, void**, int> DataPointer { get; private set; }
    public static delegate* unmanaged<nuint, IntPtr*, int> NewList { get; private set; }
    public static delegate* unmanaged<IntPtr, ulong, int> PushBack { get; private set; }

    /// <summary>(data, deleter, sizes, rank, storage type, dtype, device, index, requires grad): libLibTorchSharp's from-blob with a deleter.</summary>
    public static delegate* unmanaged<void*, IntPtr, long*, int, sbyte, sbyte, int, int, byte, IntPtr> FromBlob { get; private set; }

    /// <summary>at::toDLPack(const Tensor&amp;).</summary>
    public static delegate* unmanaged<IntPtr, IntPtr> ToDlPack { get; private set; }

    public static void Bind(IntPtr core, IntPtr shim)
    {
        var missing = new List<string>();
        IntPtr Find(IntPtr library, string name)
        {
            if (NativeLibrary.TryGetExport(library, name, out var address)) return address;
            missing.Add(name);
            return IntPtr.Zero;
        }

        var abi = (delegate* unmanaged<ulong>)Find(core, "aoti_torch_abi_version");
        CallDispatcher = (delegate* unmanaged<byte*, byte*, ulong*, ulong, int>)Find(core, "torch_call_dispatcher");
        NewTensorHandle = (delegate* unmanaged<IntPtr, IntPtr*, int>)Find(core, "aoti_torch_new_tensor_handle");
        DeleteTensorHandle = (delegate* unmanaged<IntPtr, int>)Find(core, "aoti_torch_delete_tensor_object");
        DataPointer = (delegate* unmanaged<IntPtr, void**, int>)Find(core, "aoti_torch_get_data_ptr");
        NewList = (delegate* unmanaged<nuint, IntPtr*, int>)Find(core, "torch_new_list_reserve_size");
        PushBack = (delegate* unmanaged<IntPtr, ulong, int>)Find(core, "torch_list_push_back");
        ToDlPack = (delegate* unmanaged<IntPtr, IntPtr>)Find(core, "_ZN2at8toDLPackERKNS_6TensorE");
        FromBlob = (delegate* unmanaged<void*, IntPtr, long*, int, sbyte, sbyte, int, int, byte, IntPtr>)Find(shim, "THSTensor_new");
        if (missing.Count > 0)
            throw InterpException.Precondition("LIBTORCH_SYMBOL_MISSING",
                $"This libtorch lacks {string.Join(", ", missing)}; the engine is written for 2.10 to 2.12.");
        AbiVersion = abi();
        if (AbiVersion >> 48 is < 0x020a or > 0x020c)
            throw InterpException.Precondition("LIBTORCH_VERSION_UNSUPPORTED",
                $"This libtorch says it is {AbiVersion >> 56}.{AbiVersion >> 48 & 0xff}; the engine runs on 2.10 to 2.12.");
    }

    /// <summary>A fresh handle to the same tensor, for a call that takes ownership.</summary>
    public static ulong Share(torch.Tensor tensor)
    {
        IntPtr handle;
        Check(NewTensorHandle(tensor.Handle, &handle), "aoti_torch_new_tensor_handle");
        GC.KeepAlive(tensor);
        return (ulong)handle;
    }

    public static void Check(int code, string what)
    {
        if (code != 0)
            throw new InterpException(ErrorCode.Internal, "LIBTORCH_CALL_FAILED", $"libtorch: {what} failed (its reason is on standard error).");
    }
}
