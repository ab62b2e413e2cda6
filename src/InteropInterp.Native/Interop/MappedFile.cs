using System.Runtime.InteropServices;

namespace InteropInterp.Native.Interop;

/// <summary>
/// A file mapped into memory, copy-on-write: a write through a tensor stays in this process. Counted by reference: the mapping
/// goes when the reader and every tensor over it are gone, in whatever order. The kernel ends a process that reads what another
/// program has cut off a mapped file: replace such files by renaming (<see cref="AtomicFile"/>), never in place.
/// </summary>
public sealed unsafe partial class MappedFile : IDisposable
{
    // Not reserved: a model may be larger than memory and swap, of which it needs only the pages that are written to.
    private const int ReadWrite = 3, PrivateNotReserved = 0x2 | 0x4000, DontNeed = 4;

    private readonly IntPtr address;
    private readonly Reference reader;
    private int references = 1;

    private MappedFile(string path)
    {
        Path = path;
        reader = new Reference(this);
        using var file = File.OpenHandle(path);
        Length = RandomAccess.GetLength(file);
        if (Length == 0) return;
        address = Map(IntPtr.Zero, (nuint)Length, ReadWrite, PrivateNotReserved, file.DangerousGetHandle().ToInt32(), 0);
        if (address == -1)
            throw new InterpException(ErrorCode.ResourceExhausted, "MAP_FAILED",
                $"'{path}' ({Length:N0} bytes) cannot be mapped into memory (error {Marshal.GetLastPInvokeError()}).");
    }

    public string Path { get; }
    public long Length { get; }

    /// <exception cref="InterpException">FILE_NOT_FOUND, FILE_NOT_READABLE, MAP_FAILED.</exception>
    public static MappedFile Open(string path)
    {
        try
        {
            return new MappedFile(path);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw InterpException.NotFound("FILE_NOT_FOUND", $"There is no file '{path}'.");
        }
        catch (Exception e) when (e is UnauthorizedAccessException or IOException or NotSupportedException)
        {
            throw new InterpException(ErrorCode.PermissionDenied, "FILE_NOT_READABLE",
                $"'{path}' cannot be read: {e.Message}", innerException: e);
        }
    }

    /// <summary>The bytes from <paramref name="offset"/>; checked against the file's length.</summary>
    public ReadOnlySpan<byte> Span(long offset, int length) => new((void*)Pointer(offset, length), length);

    /// <summary>The address of <paramref name="length"/> bytes from <paramref name="offset"/>; checked against the file's length.</summary>
    /// <exception cref="InterpException">FILE_TRUNCATED, FILE_CLOSED.</exception>
    public IntPtr Pointer(long offset, long length)
    {
        if (Volatile.Read(ref references) <= 0) throw Closed();
        CheckRange(offset, length);
        return address + (nint)offset;
    }

    /// <summary>One more owner, until what is returned is disposed.</summary>
    /// <exception cref="InterpException">FILE_CLOSED: the first owner has disposed the file.</exception>
    public IDisposable AddReference()
    {
        int count;
        do
        {
            count = Volatile.Read(ref references);
            if (count <= 0 || reader.IsDone) throw Closed();
        }
        while (Interlocked.CompareExchange(ref references, count + 1, count) != count);
        return new Reference(this);
    }

    /// <summary>
    /// Lets the pages of a range go, with what was written to them: they are read from the file again if asked for. Called once
    /// a tensor was converted, so that loading does not hold a model twice.
    /// </summary>
    public void Release(long offset, long length)
    {
        CheckRange(offset, length);
        var page = Environment.SystemPageSize;
        var start = (offset + page - 1) / page * page;
        var end = (offset + length) / page * page;
        if (end > start) Advise(address + (nint)start, (nuint)(end - start), DontNeed);
    }

    /// <summary>Ends the reader's own reference; tensors over the file keep theirs.</summary>
    public void Dispose() => reader.Dispose();

    private InterpException Closed() => InterpException.Precondition("FILE_CLOSED", $"'{Path}' was closed; open it again to read from it.");

    private void CheckRange(long offset, long length)
    {
        if (offset < 0 || length < 0 || offset > Length - length)
            throw InterpException.DataLoss("FILE_TRUNCATED",
                $"'{Path}' has {Length:N0} bytes; {length:N0} bytes from {offset:N0} reach past its end.");
    }

    private sealed class Reference(MappedFile mapping) : IDisposable
    {
        private int done;

        public bool IsDone => Volatile.Read(ref done) != 0;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref done, 1) != 0 || Interlocked.Decrement(ref mapping.references) != 0) return;
            if (mapping.address != IntPtr.Zero) Unmap(mapping.address, (nuint)mapping.Length);
        }
    }

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial IntPtr Map(IntPtr address, nuint length, int protection, int flags, int descriptor, nint offset);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    private static partial int Unmap(IntPtr address, nuint length);

    [LibraryImport("libc", EntryPoint = "madvise", SetLastError = true)]
    private static partial int Advise(IntPtr address, nuint length, int advice);
}
