namespace InteropInterp.Native.Loading;

/// <summary>
/// Where files of this user are kept that were made once and can be made again: $INTEROPINTERP_CACHE alone where it is set; else
/// $XDG_CACHE_HOME/interopinterp or ~/.cache/interopinterp, and a folder of this user's under the temporary folder where that
/// cannot be written.
/// </summary>
public static class UserCache
{
    /// <summary>The folders in the order they are tried; the last resort lies in a place that other users share.</summary>
    internal static (string Root, string? LastResort) Places()
    {
        var named = Environment.GetEnvironmentVariable("INTEROPINTERP_CACHE");
        if (!string.IsNullOrEmpty(named)) return (named, null);
        var home = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
        if (!Path.IsPathRooted(home)) home = Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
        var temporary = Path.Combine(Path.GetTempPath(), $"interopinterp-{PrivateFolder.User}");
        return Path.IsPathRooted(home) ? (Path.Combine(home, "interopinterp"), temporary) : (temporary, temporary);
    }

    /// <summary>A folder of the cache in which <paramref name="fill"/> found or put what belongs there.</summary>
    /// <param name="name">Relative to the cache.</param>
    /// <param name="fill">Given the folder, which is there.</param>
    /// <exception cref="InterpException">CACHE_NOT_WRITABLE: names every folder tried and why.</exception>
    public static string Folder(string name, Action<string> fill)
    {
        var (root, lastResort) = Places();
        var failures = new List<string>();
        foreach (var place in lastResort is null ? [root] : new[] { root, lastResort })
        {
            var folder = Path.Combine(place, name);
            try
            {
                if (place == lastResort) PrivateFolder.Make(place);
                Directory.CreateDirectory(folder);
                fill(folder);
                return folder;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or InterpException { Reason: "FILE_NOT_WRITABLE" })
            {
                failures.Add($"{folder}: {e.Message}");
            }
        }
        throw InterpException.Precondition("CACHE_NOT_WRITABLE",
            $"'{name}' can be written nowhere. {string.Join(" ", failures)} Set INTEROPINTERP_CACHE to a folder of yours.");
    }
}
