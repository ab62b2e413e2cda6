using System.Reflection;
using System.Security.Cryptography;
using InteropInterp.Native.Interop;
using InteropInterp.Native.Loading;

namespace InteropInterp.Models;

/// <summary>Models that come with the engine, within its assembly. Their files are put into the user's cache on first use.</summary>
public static class EmbeddedModels
{
    private const string Prefix = "InteropInterp.Models.Embedded/";
    private static readonly Assembly Assembly = typeof(EmbeddedModels).Assembly;

    /// <summary>The model that a demonstration uses where none is named.</summary>
    public const string Default = "induction";

    /// <summary>What there is.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. Assembly.GetManifestResourceNames()
        .Where(name => name.StartsWith(Prefix, StringComparison.Ordinal))
        .Select(name => name[Prefix.Length..].Split('/')[0]).Distinct().Order(StringComparer.Ordinal)];

    /// <summary>The folder of a model's files; null where no model of that name comes with the engine.</summary>
    /// <exception cref="InterpException">CACHE_NOT_WRITABLE.</exception>
    public static string? Find(string name) => Names.Contains(name) ? Unpack(name) : null;

    // The content names the folder, so that versions of the engine do not overwrite each other's.
    private static string Unpack(string model)
    {
        var files = Assembly.GetManifestResourceNames().Where(name => name.StartsWith($"{Prefix}{model}/", StringComparison.Ordinal))
            .Order(StringComparer.Ordinal).Select(name => (Name: Path.GetFileName(name), Content: Read(name))).ToList();
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var file in files) hash.AppendData(file.Content);
        return UserCache.Folder(Path.Combine("models", $"{model}-{Convert.ToHexStringLower(hash.GetHashAndReset())[..16]}"), folder =>
        {
            foreach (var (name, content) in files) Put(Path.Combine(folder, name), content);
        });
    }

    // What lies there is compared, not believed.
    private static void Put(string path, byte[] content)
    {
        if (File.Exists(path) && File.ReadAllBytes(path).AsSpan().SequenceEqual(content)) return;
        AtomicFile.WriteAll(path, content);
    }

    private static byte[] Read(string resource)
    {
        using var stream = Assembly.GetManifestResourceStream(resource)!;
        var content = new byte[stream.Length];
        stream.ReadExactly(content);
        return content;
    }
}
