using System.Buffers.Binary;
using System.IO.Hashing;

namespace InteropInterp.Models;

/// <summary>
/// What identifies a loaded model: the content of its files and how it was loaded. Two paths to the same files are one model;
/// a file that changed is another.
/// </summary>
/// <param name="Digest">XXH3-128 of config and weights, in hexadecimal.</param>
public sealed record ModelKey(string Digest, LoadOptions Options)
{
    public static ModelKey Of(ModelFiles files, LoadOptions options)
    {
        var hash = new XxHash128();
        foreach (var path in Paths(files)) Append(hash, path);
        return new ModelKey(Convert.ToHexStringLower(hash.GetCurrentHash()), options);
    }

    private static IEnumerable<string> Paths(ModelFiles files)
    {
        yield return files.ConfigPath;
        if (files.WeightsPath == files.ConfigPath) yield break;
        yield return files.WeightsPath;
        if (!files.WeightsPath.EndsWith(".json", StringComparison.Ordinal)) yield break;
        foreach (var shard in Directory.GetFiles(files.Folder, "*.safetensors").Order(StringComparer.Ordinal)) yield return shard;
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
