using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Parquet;
using Parquet.Meta;

namespace InteropInterp.Corpora;

/// <summary>
/// Opens Parquet files. Where metadata end before they are complete, Parquet.Net 6.1 goes on reading numbers for ever; files are
/// given to it such that it meets an error there.
/// </summary>
internal static class ParquetInput
{
    private const int TailBytes = 8; // the footer's length, and the mark
    private const uint LargestFooter = 1 << 28;
    private const string ThriftReader = "Parquet.Meta.Proto.ThriftCompactProtocolReader, Parquet";

    private static ReadOnlySpan<byte> Mark => "PAR1"u8;

    /// <exception cref="InvalidDataException">It is no Parquet file.</exception>
    /// <exception cref="EndOfStreamException">The file ends too early, or its footer does.</exception>
    public static async Task<ParquetReader> Open(string path)
    {
        var file = new StreamWithoutEnd(File.OpenRead(path));
        try
        {
            RequireWholeFooter(file);
            file.Position = 0;
            return await ParquetReader.CreateAsync(file, leaveStreamOpen: false).ConfigureAwait(false);
        }
        catch
        {
            await file.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    // The library copies the footer before it reads it: read it once from bytes whose end is an error.
    private static void RequireWholeFooter(Stream file)
    {
        if (file.Length < Mark.Length + TailBytes) throw new InvalidDataException("it is shorter than a Parquet file can be.");
        Span<byte> head = stackalloc byte[Mark.Length], tail = stackalloc byte[TailBytes];
        file.ReadExactly(head);
        file.Position = file.Length - TailBytes;
        file.ReadExactly(tail);
        if (!head.SequenceEqual(Mark) || !tail[^Mark.Length..].SequenceEqual(Mark))
            throw new InvalidDataException("it does not begin and end with PAR1, or is encrypted.");
        var length = BinaryPrimitives.ReadUInt32LittleEndian(tail);
        if (length > file.Length - Mark.Length - TailBytes || length > LargestFooter)
            throw new InvalidDataException($"its footer of {length:N0} bytes is longer than the file, or than {LargestFooter:N0}.");
        var footer = new byte[length];
        file.Position = file.Length - TailBytes - length;
        file.ReadExactly(footer);
        ReadMetadata(null, NewThriftReader(new StreamWithoutEnd(new MemoryStream(footer))));
    }

    [UnsafeAccessor(UnsafeAccessorKind.StaticMethod, Name = "Read")]
    private static extern FileMetaData ReadMetadata(FileMetaData? type, [UnsafeAccessorType(ThriftReader)] object reader);

    [UnsafeAccessor(UnsafeAccessorKind.Constructor)]
    [return: UnsafeAccessorType(ThriftReader)]
    private static extern object NewThriftReader(Stream stream);
}
