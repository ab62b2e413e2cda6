using System.Security.Cryptography;

namespace InteropInterp.Native.Loading;

/// <summary>
/// Edited copies of libraries, made once and kept under the user's cache folder. The originals are never touched: build
/// outputs and the package cache may share them by hard link.
/// </summary>
internal sealed class LibraryCache(string root)
{
    private const int EditVersion = 2;

    /// <summary>$INTEROPINTERP_CACHE, else $XDG_CACHE_HOME/interopinterp, else ~/.cache/interopinterp, else a temporary folder.</summary>
    public static LibraryCache Default()
    {
        var named = Environment.GetEnvironmentVariable("INTEROPINTERP_CACHE");
        if (!string.IsNullOrEmpty(named)) return new LibraryCache(named);
        var home = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
        if (string.IsNullOrEmpty(home))
            home = Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
        var root = Path.Combine(home, "interopinterp");
        try
        {
            Directory.CreateDirectory(root);
            return new LibraryCache(root);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return new LibraryCache(Path.Combine(Path.GetTempPath(), $"interopinterp-{Environment.UserName}"));
        }
    }

    /// <summary>
    /// The path of the edited copy of <paramref name="source"/>, made now if it is not there. Two processes may race: each
    /// writes its own file and renames it into place.
    /// </summary>
    public string Get(string source, string fileName, string edit, Action<ElfImage> apply)
    {
        var folder = Path.Combine(root, "libtorch", Key(source, edit));
        var path = Path.Combine(folder, fileName);
        if (File.Exists(path)) return path;
        Directory.CreateDirectory(folder);
        var image = new ElfImage(File.ReadAllBytes(source), source);
        apply(image);
        WriteAtomically(path, stream => stream.Write(image.Bytes));
        return path;
    }

    private static void WriteAtomically(string path, Action<Stream> write)
    {
        var temporary = $"{path}.{Guid.NewGuid():N}";
        try
        {
            using (var stream = File.Create(temporary)) write(stream);
            File.Move(temporary, path, overwrite: true);
        }
        finally
        {
            File.Delete(temporary);
        }
    }

    // Libraries of half a gigabyte are not read to be named: folder siblings, size and time tell them apart.
    private static string Key(string source, string edit)
    {
        var folder = Path.GetDirectoryName(Path.GetFullPath(source))!;
        var parts = LibTorchFolder.Libraries
            .Select(name => new FileInfo(Path.Combine(folder, name)))
            .Where(file => file.Exists)
            .Select(file => $"{file.Name} {file.Length} {file.LastWriteTimeUtc.Ticks}");
        var text = $"{EditVersion}\n{edit}\n{string.Join('\n', parts)}\n{new FileInfo(source).Length}";
        return Convert.ToHexStringLower(SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(text)))[..16];
    }
}
