using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace InteropInterp.Native.Interop;

/// <summary>Tensors over memory that libtorch did not allocate, without a copy.</summary>
public static unsafe class Blob
{
    /// <summary>
    /// A tensor over memory that the caller keeps alive for longer than the tensor and all its views.
    /// </summary>
    /// <param name="data">Address of the first element.</param>
    /// <param name="shape">Sizes.</param>
    /// <param name="dtype">Element type.</param>
    /// <param name="strides">In elements, none negative; empty means contiguous.</param>
    public static Tensor View(IntPtr data, ReadOnlySpan<long> shape, ScalarType dtype, ReadOnlySpan<long> strides = default) =>
        Create(data, shape, strides, dtype, null);

    /// <summary>
    /// Like <see cref="View"/>, over memory of <paramref name="owner"/>, which is disposed once the last view of the tensor is
    /// gone, or here when no tensor can be made. It may happen on any thread, and must not block or throw there.
    /// </summary>
    public static Tensor Own(
        IntPtr data, ReadOnlySpan<long> shape, ScalarType dtype, IDisposable owner, ReadOnlySpan<long> strides = default) =>
        Create(data, shape, strides, dtype, owner);

    /// <summary>Where the tensor's first element lies; on the CPU, and valid while the tensor lives.</summary>
    public static IntPtr Address(Tensor tensor)
    {
        void* address;
        NativeApi.Check(NativeApi.DataPointer(tensor.Handle, &address), "aoti_torch_get_data_ptr");
        GC.KeepAlive(tensor);
        return (IntPtr)address;
    }

    // from_blob's deleter is told an address, which several tensors may share; DLPack's is told its own structure.
    private static Tensor Create(IntPtr data, ReadOnlySpan<long> shape, ReadOnlySpan<long> strides, ScalarType dtype, IDisposable? owner)
    {
        InterpException.Require(strides.IsEmpty || strides.Length == shape.Length, "BAD_STRIDES",
            $"{strides.Length} strides do not fit {shape.Length} sizes.");
        var (code, bits) = DlPack.TypeOf(dtype);
        var managed = (DlPack.Managed*)NativeMemory.Alloc((nuint)(sizeof(DlPack.Managed) + 2 * shape.Length * sizeof(long)));
        var sizes = (long*)(managed + 1);
        shape.CopyTo(new Span<long>(sizes, shape.Length));
        strides.CopyTo(new Span<long>(sizes + shape.Length, shape.Length));
        *managed = new DlPack.Managed
        {
            Data = (void*)data,
            DeviceType = 1,
            Rank = shape.Length,
            Code = code,
            Bits = bits,
            Lanes = 1,
            Shape = sizes,
            Strides = strides.IsEmpty ? null : sizes + shape.Length,
            Context = owner is null ? null : (void*)GCHandle.ToIntPtr(GCHandle.Alloc(owner)),
            Deleter = &Release,
        };
        try
        {
            return DlPack.Import((IntPtr)managed);
        }
        catch
        {
            DlPack.Free((IntPtr)managed);
            throw;
        }
    }

    [UnmanagedCallersOnly]
    private static void Release(DlPack.Managed* managed)
    {
        if (managed->Context is not null)
        {
            var handle = GCHandle.FromIntPtr((IntPtr)managed->Context);
            var owner = (IDisposable)handle.Target!;
            handle.Free();
            owner.Dispose();
        }
        NativeMemory.Free(managed);
    }
}
