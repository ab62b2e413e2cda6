using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Unicode;
using InteropInterp.Native.Interop;

namespace InteropInterp.Tensors.Gguf;

/// <summary>Reads a GGUF's header from front to back; every length is checked against what is left of the file.</summary>
internal sealed class GgufCursor(MappedFile file)
{
    public long Position { get; private set; }

    public long Left => file.Length - Position;

    /// <summary>A little-endian number.</summary>
    public T Number<T>(string what) where T : unmanaged => MemoryMarshal.Read<T>(Take(Unsafe.SizeOf<T>(), what));

    /// <summary>A length or count that a later read relies on: no more than is left, at <paramref name="bytesEach"/> at least.</summary>
    public int Count(int bytesEach, string what)
    {
        var count = Number<ulong>(what);
        if (count > (ulong)(Left / bytesEach) || count > int.MaxValue)
            throw Broken("GGUF_TRUNCATED", $"{what} is {count:N0}, but only {Left:N0} bytes of the file are left");
        return (int)count;
    }

    /// <summary>A string: its length, then its UTF-8 bytes.</summary>
    public string Text(string what)
    {
        var bytes = Take(Count(1, $"the length of {what}"), what);
        return Utf8.IsValid(bytes) ? Encoding.UTF8.GetString(bytes) : throw Broken("GGUF_NOT_UTF8", $"{what} is not UTF-8");
    }

    /// <summary>An array of numbers.</summary>
    public T[] Numbers<T>(int count, string what) where T : unmanaged =>
        MemoryMarshal.Cast<byte, T>(Take((long)count * Unsafe.SizeOf<T>(), what)).ToArray();

    public ReadOnlySpan<byte> Take(long length, string what)
    {
        if (length > Left || length > int.MaxValue)
            throw Broken("GGUF_TRUNCATED", $"{what} needs {length:N0} bytes, but only {Left:N0} are left");
        var bytes = file.Span(Position, (int)length);
        Position += length;
        return bytes;
    }

    public InterpException Broken(string reason, string what) =>
        InterpException.DataLoss(reason, $"'{file.Path}' is not a sound GGUF: {what} (at byte {Position:N0}).");
}
