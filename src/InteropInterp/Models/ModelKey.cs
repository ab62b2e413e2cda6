namespace InteropInterp.Models;

/// <summary>
/// What identifies a loaded model: the content of its files and how it was loaded. Two paths to the same files are one model;
/// a file that changed is another.
/// </summary>
/// <param name="Digest">XXH3-128 of config and weights, in hexadecimal.</param>
public sealed record ModelKey(string Digest, LoadOptions Options)
{
    public static ModelKey Of(ModelFiles files, LoadOptions options) => new(FileDigest.Of(Paths(files)), options);

    private static IEnumerable<string> Paths(ModelFiles files)
    {
        yield return files.ConfigPath;
        if (files.WeightsPath == files.ConfigPath) yield break;
        yield return files.WeightsPath;
        if (!files.WeightsPath.EndsWith(".json", StringComparison.Ordinal)) yield break;
        foreach (var shard in Directory.GetFiles(files.Folder, "*.safetensors").Order(StringComparer.Ordinal)) yield return shard;
    }
}
