using System.Buffers.Binary;
using System.IO.Hashing;

namespace InteropInterp.Models;

/// <summary>What identifies files by their content: two paths to the same content are one, a file that changed is another.</summary>
public static class FileDigest
{
    /// <summary>XXH3-128 of lengths and contents, in order, in hexadecimal.</summary>
    public static string Of(IEnumerable<string> paths)
    {
        var hash = new XxHash128();
        foreach (var path in paths) Append(hash, path);
        return Convert.ToHexStringLower(hash.GetCurrentHash());
    }

    private static void Append(XxHash128 hash, string path)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 20, FileOptions.SequentialScan);
        var length = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, stream.Length);
        hash.Append(length);
        hash.Append(stream);
    }
}
