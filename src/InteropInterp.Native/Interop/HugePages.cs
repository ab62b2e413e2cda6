using System.Runtime.InteropServices;

namespace InteropInterp.Native.Interop;

/// <summary>
/// Two-megabyte pages for memory that is about to be filled: the first touch of a gigabyte of small pages takes longer than
/// reading weights into it.
/// </summary>
public static partial class HugePages
{
    private const int Size = 1 << 21, WantHuge = 14;

    /// <summary>Asks for them where they fit wholly into the range; a kernel without them goes on as before.</summary>
    public static void Advise(IntPtr address, long length)
    {
        var start = (address + Size - 1) / Size * Size;
        var end = (address + (nint)length) / Size * Size;
        if (end > start) _ = Advise(start, (nuint)(end - start), WantHuge);
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(IntPtr address, nuint length, int advice);
}
