using System.Runtime.InteropServices;

namespace InteropInterp.Native.Loading;

/// <summary>
/// A folder in a place that other users share. Code is loaded from it, so it must be this user's alone: anybody could have made
/// one of that name first and planted a library in it.
/// </summary>
public static unsafe partial class PrivateFolder
{
    private const int CurrentFolder = -100, DoNotFollow = 0x100;
    private const uint TypeModeAndOwner = 0x1 | 0x2 | 0x8;
    private const int FileType = 0xF000, IsFolder = 0x4000, OthersMayWrite = 0x12;

    /// <summary>This user's number.</summary>
    public static uint User => EffectiveUser();

    /// <summary>Makes the folder, for this user alone, or checks that nobody else can write in the one that is there.</summary>
    /// <exception cref="UnauthorizedAccessException">It belongs to another user, others may write in it, or it is no folder.</exception>
    public static void Make(string path)
    {
        Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var (owner, mode) = Status(path);
        if (owner != User || (mode & FileType) != IsFolder || (mode & OthersMayWrite) != 0)
            throw new UnauthorizedAccessException($"'{path}' is not a folder that only user {User} may write.");
    }

    // struct statx: owner at byte 20, mode at byte 28. The same on every Linux.
    private static (uint Owner, int Mode) Status(string path)
    {
        var status = stackalloc byte[256];
        if (StatX(CurrentFolder, path, DoNotFollow, TypeModeAndOwner, status) != 0)
            throw new UnauthorizedAccessException($"'{path}' cannot be looked at (error {Marshal.GetLastPInvokeError()}).");
        return (*(uint*)(status + 20), *(ushort*)(status + 28));
    }

    [LibraryImport("libc", EntryPoint = "geteuid")]
    private static partial uint EffectiveUser();

    [LibraryImport("libc", EntryPoint = "statx", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int StatX(int folder, string path, int flags, uint mask, byte* status);
}
