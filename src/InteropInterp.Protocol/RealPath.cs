using System.Runtime.InteropServices;
using System.Text;

namespace InteropInterp.Protocol;

/// <summary>Where a path leads once every link in it is followed.</summary>
internal static unsafe partial class RealPath
{
    private const int Longest = 4096;

    /// <summary>Null where there is nothing.</summary>
    public static string? Of(string path)
    {
        var resolved = stackalloc byte[Longest + 1];
        return Resolve(path, resolved) == IntPtr.Zero ? null : Encoding.UTF8.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(resolved));
    }

    [LibraryImport("libc", EntryPoint = "realpath", StringMarshalling = StringMarshalling.Utf8)]
    private static partial IntPtr Resolve(string path, byte* resolved);
}
