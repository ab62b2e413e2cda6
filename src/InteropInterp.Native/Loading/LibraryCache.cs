using System.Security.Cryptography;
using System.Text;

namespace InteropInterp.Native.Loading;

/// <summary>
/// Edited copies of libraries, made once and kept under the user's cache folder. The originals are never touched: build
/// outputs and the package cache may share them by hard link.
/// </summary>
/// <param name="root">The folder to use.</param>
/// <param name="lastResort">Where that cannot be written: a folder in a place that other users share.</param>
internal sealed class LibraryCache(string root, string? lastResort = null)
{
    private const int EditVersion = 4;

    /// <summary>In the places of <see cref="UserCache"/>.</summary>
    public static LibraryCache Default()
    {
        var (root, lastResort) = UserCache.Places();
        return new LibraryCache(root, lastResort);
    }

    /// <summary>
    /// The path of the edited copy of <paramref name="source"/>, made now if it is not there. Two processes may race: each
    /// writes its own file and renames it into place.
    /// </summary>
    /// <exception cref="InterpException">CACHE_NOT_WRITABLE: names every folder tried and why.</exception>
    public string Get(string source, string fileName, string edit, Action<ElfImage> apply)
    {
        var failures = new List<string>();
        foreach (var place in lastResort is null ? [root] : new[] { root, lastResort })
        {
            var folder = Path.Combine(place, "libtorch", Key(source, edit));
            var path = Path.Combine(folder, fileName);
            try
            {
                if (place == lastResort) PrivateFolder.Make(place);
                if (File.Exists(path)) return path;
                Directory.CreateDirectory(folder);
                Write(source, path, apply);
                return path;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                failures.Add($"{folder}: {e.Message}");
            }
        }
        throw InterpException.Precondition("CACHE_NOT_WRITABLE",
            $"{fileName} needs an edited copy ({new FileInfo(source).Length >> 20:N0} MiB), and it can be written nowhere. " +
            $"{string.Join(" ", failures)} Set INTEROPINTERP_CACHE to a folder of yours.");
    }

    // File.Copy shares the blocks where the file system can. Synced before it gets its name: after a power cut a half-written
    // library would be believed.
    private static void Write(string source, string path, Action<ElfImage> apply)
    {
        var temporary = $"{path}.{Guid.NewGuid():N}";
        try
        {
            File.Copy(source, temporary);
            File.SetUnixFileMode(temporary, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            ElfImage.Edit(temporary, apply);
            using (var file = File.OpenHandle(temporary, FileMode.Open, FileAccess.ReadWrite)) RandomAccess.FlushToDisk(file);
            File.Move(temporary, path, overwrite: true);
        }
        finally
        {
            File.Delete(temporary);
        }
    }

    // Libraries of half a gigabyte are not read to be named: sizes and times of the file and its siblings tell them apart.
    private static string Key(string source, string edit)
    {
        var folder = Path.GetDirectoryName(Path.GetFullPath(source))!;
        var parts = new DirectoryInfo(folder).GetFiles("lib*.so*")
            .OrderBy(file => file.Name, StringComparer.Ordinal)
            .Select(file => $"{file.Name} {file.Length} {file.LastWriteTimeUtc.Ticks}");
        var text = $"{EditVersion}\n{edit}\n{string.Join('\n', parts)}";
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)))[..16];
    }
}
