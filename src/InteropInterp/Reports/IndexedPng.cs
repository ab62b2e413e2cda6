using System.Buffers.Binary;
using System.IO.Compression;
using System.IO.Hashing;
using System.Text;

namespace InteropInterp.Reports;

/// <summary>
/// An 8-bit image of one colour in 256 opacities, as a PNG: a matrix of shares whose pixels are its values, quantised.
/// </summary>
internal static class IndexedPng
{
    // The blue of report.css.
    private static readonly byte[] Color = [0x2f, 0x6f, 0xde];

    private static ReadOnlySpan<byte> Signature => [0x89, (byte)'P', (byte)'N', (byte)'G', 0x0d, 0x0a, 0x1a, 0x0a];

    /// <param name="pixels">Row-major; a byte is an opacity.</param>
    public static byte[] Encode(ReadOnlySpan<byte> pixels, int width, int height)
    {
        using var png = new MemoryStream();
        png.Write(Signature);
        Span<byte> header = stackalloc byte[13];
        BinaryPrimitives.WriteInt32BigEndian(header, width);
        BinaryPrimitives.WriteInt32BigEndian(header[4..], height);
        // 8 bits a pixel, by palette; deflate, no interlacing.
        (header[8], header[9]) = (8, 3);
        Chunk(png, "IHDR", header);
        var palette = new byte[256 * 3];
        var opacities = new byte[256];
        for (var i = 0; i < 256; i++)
        {
            Color.CopyTo(palette, i * 3);
            opacities[i] = (byte)i;
        }
        Chunk(png, "PLTE", palette);
        Chunk(png, "tRNS", opacities);
        using var data = new MemoryStream();
        using (var zlib = new ZLibStream(data, CompressionLevel.SmallestSize, leaveOpen: true))
            for (var row = 0; row < height; row++)
            {
                // Each line begins with its filter: none.
                zlib.WriteByte(0);
                zlib.Write(pixels.Slice(row * width, width));
            }
        Chunk(png, "IDAT", data.ToArray());
        Chunk(png, "IEND", []);
        return png.ToArray();
    }

    private static void Chunk(MemoryStream png, string type, ReadOnlySpan<byte> data)
    {
        Span<byte> number = stackalloc byte[4];
        BinaryPrimitives.WriteInt32BigEndian(number, data.Length);
        png.Write(number);
        var start = (int)png.Length;
        png.Write(Encoding.ASCII.GetBytes(type));
        png.Write(data);
        BinaryPrimitives.WriteUInt32BigEndian(number, Crc32.HashToUInt32(png.GetBuffer().AsSpan(start, (int)png.Length - start)));
        png.Write(number);
    }
}
