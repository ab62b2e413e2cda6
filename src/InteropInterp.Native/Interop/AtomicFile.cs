using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace InteropInterp.Native.Interop;

/// <summary>
/// A file that appears under its name whole and on disk, or not at all: written beside it under another name, synchronised,
/// renamed over it, and the folder synchronised. A process that is killed meanwhile leaves at most a hidden ".tmp" behind.
/// </summary>
public sealed partial class AtomicFile : IDisposable
{
    private const int ReadDirectory = 0x10000;

    private readonly string temporary;
    private readonly SafeFileHandle handle;
    private bool committed;

    private AtomicFile(string path, long size)
    {
        Path = System.IO.Path.GetFullPath(path);
        temporary = System.IO.Path.Combine(System.IO.Path.GetDirectoryName(Path)!,
            $".{System.IO.Path.GetFileName(Path)}.{System.IO.Path.GetRandomFileName()}.tmp");
        // Room for all of it is taken now: a full disk shows before the work and not after it.
        handle = File.OpenHandle(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.Read, preallocationSize: size);
    }

    /// <summary>Where the file will be.</summary>
    public string Path { get; }

    /// <param name="path">A link is replaced, not followed.</param>
    /// <param name="size">Bytes the file will have, where that is known.</param>
    /// <exception cref="InterpException">FILE_NOT_WRITABLE: no such folder, no permission, no room.</exception>
    public static AtomicFile Create(string path, long size = 0)
    {
        try
        {
            if (Directory.Exists(path)) throw new IOException("it is a folder");
            return new AtomicFile(path, size);
        }
        catch (Exception e) when (IsOfFiles(e))
        {
            throw NotWritable(path, e);
        }
    }

    /// <summary>Makes a folder where there is none.</summary>
    /// <exception cref="InterpException">FILE_NOT_WRITABLE.</exception>
    public static void MakeFolder(string path)
    {
        try
        {
            Directory.CreateDirectory(path);
        }
        catch (Exception e) when (IsOfFiles(e))
        {
            throw NotWritable(path, e);
        }
    }

    /// <summary>Writes a file in one go.</summary>
    /// <exception cref="InterpException">FILE_NOT_WRITABLE.</exception>
    public static void WriteAll(string path, ReadOnlySpan<byte> content)
    {
        using var file = Create(path, content.Length);
        file.Write(0, content);
        file.Commit();
    }

    /// <summary>Writes a text in one go, as UTF-8.</summary>
    /// <exception cref="InterpException">FILE_NOT_WRITABLE.</exception>
    public static void WriteAll(string path, string content) => WriteAll(path, System.Text.Encoding.UTF8.GetBytes(content));

    /// <exception cref="InterpException">FILE_NOT_WRITABLE.</exception>
    public void Write(long offset, ReadOnlySpan<byte> bytes)
    {
        try
        {
            RandomAccess.Write(handle, bytes, offset);
        }
        catch (Exception e) when (IsOfFiles(e))
        {
            throw NotWritable(Path, e);
        }
    }

    /// <summary>Makes the file appear, in place of what had its name.</summary>
    /// <exception cref="InterpException">FILE_NOT_WRITABLE.</exception>
    public void Commit()
    {
        try
        {
            RandomAccess.FlushToDisk(handle);
            handle.Dispose();
            File.Move(temporary, Path, overwrite: true);
        }
        catch (Exception e) when (IsOfFiles(e))
        {
            throw NotWritable(Path, e);
        }
        committed = true;
        SynchroniseFolder(System.IO.Path.GetDirectoryName(Path)!);
    }

    /// <summary>Without <see cref="Commit"/>, removes what was written.</summary>
    public void Dispose()
    {
        handle.Dispose();
        if (!committed && File.Exists(temporary)) File.Delete(temporary);
    }

    // The rename itself is on disk only when the folder is. Some file systems cannot: nothing is lost then but the promise.
    private static void SynchroniseFolder(string folder)
    {
        var descriptor = Open(folder, ReadDirectory);
        if (descriptor < 0) return;
        _ = Synchronise(descriptor);
        _ = Close(descriptor);
    }

    private static bool IsOfFiles(Exception e) => e is IOException or UnauthorizedAccessException;

    private static InterpException NotWritable(string path, Exception cause) =>
        new(ErrorCode.PermissionDenied, "FILE_NOT_WRITABLE", $"'{path}' cannot be written: {cause.Message}", innerException: cause);

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync")]
    private static partial int Synchronise(int descriptor);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int descriptor);
}
