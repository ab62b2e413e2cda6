using InteropInterp.Native.Interop;

namespace InteropInterp.Native.Loading;

/// <summary>
/// Two-megabyte pages for large tensors. A cache of every activation is fresh memory: in small pages, a third of a cached run of a
/// thousand tokens went into the kernel's handing them out.
/// </summary>
internal static class TensorPages
{
    /// <summary>Asks libtorch's allocator for them, unless the user has said something else.</summary>
    public static void Enlarge() => NativeEnvironment.Default("THP_MEM_ALLOC_ENABLE", "1");
}
