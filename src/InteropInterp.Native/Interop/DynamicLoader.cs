using System.Runtime.InteropServices;

namespace InteropInterp.Native.Interop;

/// <summary>
/// dlopen with every symbol bound at once. Bound one by one at first use, as <see cref="NativeLibrary"/> does it, half of our
/// OpenMP calls could go to our libgomp and, once Python has imported torch, the other half to torch's.
/// </summary>
internal static partial class DynamicLoader
{
    private const int BindNow = 2;

    /// <summary>The library's handle, or zero and the loader's own words.</summary>
    public static (IntPtr Handle, string? Error) Open(string path)
    {
        // Looked up only when an error is to be read, dlerror would tell of its own look-up.
        LastError();
        var handle = Open(path, BindNow);
        return handle != IntPtr.Zero ? (handle, null) : (handle, Marshal.PtrToStringUTF8(LastError()));
    }

    [LibraryImport("libc", EntryPoint = "dlopen", StringMarshalling = StringMarshalling.Utf8)]
    private static partial IntPtr Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "dlerror")]
    private static partial IntPtr LastError();
}
