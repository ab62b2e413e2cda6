using System.Runtime.InteropServices;

namespace InteropInterp.Native.Loading;

/// <summary>
/// libLibTorchSharp.so 0.107 asks for GLIBCXX_3.4.32 (GCC 13) for one symbol that it never uses, so Debian 12, Ubuntu 22.04 and
/// RHEL 9 refuse it. The repaired copy does without.
/// </summary>
internal static class ShimRepair
{
    /// <summary>The library itself where it loads, else its repaired copy. libtorch must be loaded before.</summary>
    public static string Path(LibraryCache cache, string shim)
    {
        if (!NativeLibrary.TryLoad(shim, out var handle)) return cache.Get(shim, System.IO.Path.GetFileName(shim), "repaired", Apply);
        NativeLibrary.Free(handle);
        return shim;
    }

    public static void Apply(ElfImage image) => image.WeakenVersion("GLIBCXX_3.4.32");
}
