using System.Runtime.InteropServices;
using TorchSharp;

namespace InteropInterp.Native.Interop;

/// <summary>
/// The few functions of libtorch that TorchSharp does not offer. The <c>torch_*</c> and <c>aoti_torch_*</c> names are PyTorch's
/// versioned C interface; the mangled ones are tied to 2.10-2.12. Kept in one place, bound once, missing names are named.
/// </summary>
internal static unsafe class NativeApi
{
    /// <summary>The interface version the calls below are written for: 2.10.</summary>
    public const ulong WrittenFor = 0x020a_0000_0000_0000;

    public static ulong AbiVersion { get; private set; }

    public static delegate* unmanaged<byte*, byte*, ulong*, ulong, int> CallDispatcher { get; private set; }
    public static delegate* unmanaged<IntPtr, IntPtr*, int> NewTensorHandle { get; private set; }
    public static delegate* unmanaged<IntPtr, void**, int> DataPointer { get; private set; }
    public static delegate* unmanaged<nuint, IntPtr*, int> NewList { get; private set; }
    public static delegate* unmanaged<IntPtr, ulong, int> PushBack { get; private set; }

    /// <summary>C++'s operator new: what libtorch deletes must come from here.</summary>
    public static delegate* unmanaged<nuint, void*> New { get; private set; }

    /// <summary>at::toDLPack(const Tensor&amp;).</summary>
    public static delegate* unmanaged<IntPtr, DlPack.Managed*> ToDlPack { get; private set; }

    /// <summary>
    /// at::fromDLPack(DLManagedTensor*, std::function): (where the Tensor is put, source, an empty std::function of four words).
    /// </summary>
    public static delegate* unmanaged<IntPtr*, DlPack.Managed*, ulong*, IntPtr*> FromDlPack { get; private set; }

    /// <summary>
    /// oneDNN's x W^T + b for float32 on the CPU, where this libtorch was built with it, or null: (x, W, b or null, activation,
    /// its arguments, their number, its variant or null, where the result is put).
    /// </summary>
    public static delegate* unmanaged<IntPtr, IntPtr, IntPtr*, byte*, double**, long, byte**, IntPtr*, int> LinearPointwise { get; private set; }

    /// <summary>
    /// OpenMP's parallel region on the threads that libtorch computes with, where it was built with GNU's, or null: (what each
    /// thread calls, its argument, number of threads, 0). The calling thread is one of them; all have returned when it returns.
    /// </summary>
    public static delegate* unmanaged<delegate* unmanaged<void*, void>, void*, uint, uint, void> InParallel { get; private set; }

    /// <param name="core">libtorch_cpu.</param>
    /// <exception cref="InterpException">LIBTORCH_SYMBOL_MISSING, LIBTORCH_VERSION_UNSUPPORTED; nothing is bound then.</exception>
    public static void Bind(IntPtr core)
    {
        var missing = new List<string>();
        IntPtr Find(string name)
        {
            if (NativeLibrary.TryGetExport(core, name, out var address)) return address;
            missing.Add(name);
            return IntPtr.Zero;
        }

        var abiVersion = (delegate* unmanaged<ulong>)Find("aoti_torch_abi_version");
        var callDispatcher = Find("torch_call_dispatcher");
        var newTensorHandle = Find("aoti_torch_new_tensor_handle");
        var dataPointer = Find("aoti_torch_get_data_ptr");
        var newList = Find("torch_new_list_reserve_size");
        var pushBack = Find("torch_list_push_back");
        var operatorNew = Find("_Znwm");
        var toDlPack = Find("_ZN2at8toDLPackERKNS_6TensorE");
        var fromDlPack = Find("_ZN2at10fromDLPackEP15DLManagedTensorSt8functionIFvPvEE");
        if (missing.Count > 0)
            throw InterpException.Precondition("LIBTORCH_SYMBOL_MISSING",
                $"This libtorch lacks {string.Join(", ", missing)}; the engine is written for 2.10 to 2.12.");
        var abi = abiVersion();
        if (abi >> 48 is < 0x020a or > 0x020c)
            throw InterpException.Precondition("LIBTORCH_VERSION_UNSUPPORTED",
                $"This libtorch says it is {abi >> 56}.{abi >> 48 & 0xff}; the engine runs on 2.10 to 2.12.");
        AbiVersion = abi;
        NativeLibrary.TryGetExport(core, "aoti_torch_cpu__linear_pointwise", out var linearPointwise);
        LinearPointwise = (delegate* unmanaged<IntPtr, IntPtr, IntPtr*, byte*, double**, long, byte**, IntPtr*, int>)linearPointwise;
        NativeLibrary.TryGetExport(core, "GOMP_parallel", out var inParallel);
        InParallel = (delegate* unmanaged<delegate* unmanaged<void*, void>, void*, uint, uint, void>)inParallel;
        CallDispatcher = (delegate* unmanaged<byte*, byte*, ulong*, ulong, int>)callDispatcher;
        NewTensorHandle = (delegate* unmanaged<IntPtr, IntPtr*, int>)newTensorHandle;
        DataPointer = (delegate* unmanaged<IntPtr, void**, int>)dataPointer;
        NewList = (delegate* unmanaged<nuint, IntPtr*, int>)newList;
        PushBack = (delegate* unmanaged<IntPtr, ulong, int>)pushBack;
        New = (delegate* unmanaged<nuint, void*>)operatorNew;
        ToDlPack = (delegate* unmanaged<IntPtr, DlPack.Managed*>)toDlPack;
        FromDlPack = (delegate* unmanaged<IntPtr*, DlPack.Managed*, ulong*, IntPtr*>)fromDlPack;
    }

    /// <summary>A fresh handle to the same tensor, for a call that takes ownership.</summary>
    public static ulong Share(torch.Tensor tensor)
    {
        ObjectDisposedException.ThrowIf(tensor.IsInvalid, tensor);
        IntPtr handle;
        Check(NewTensorHandle(tensor.Handle, &handle), "aoti_torch_new_tensor_handle");
        GC.KeepAlive(tensor);
        return (ulong)handle;
    }

    public static void Check(int code, string what)
    {
        if (code != 0)
            throw new InterpException(ErrorCode.Internal, "LIBTORCH_CALL_FAILED",
                $"libtorch: {what} failed (its reason is on standard error).");
    }
}
