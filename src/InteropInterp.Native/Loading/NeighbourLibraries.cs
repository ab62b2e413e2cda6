using InteropInterp.Native.Interop;

namespace InteropInterp.Native.Loading;

/// <summary>
/// Loads libraries that need others which no search path leads to. Wheels of a Python torch keep CUDA's libraries in packages
/// beside it (nvidia/cublas/lib, nvidia/cu13/lib): torch/__init__.py loads them from there where the libraries' own RUNPATH does not.
/// </summary>
internal static class NeighbourLibraries
{
    private const string NotFound = ": cannot open shared object file";

    // More libraries than a CUDA torch needs.
    private const int MaxDepth = 64;

    /// <summary>Opens a library, and before it, as often as the loader misses one, that one from a package beside torch.</summary>
    /// <param name="libraryFolder">site-packages/torch/lib.</param>
    /// <returns>The library's handle, or zero and the loader's own words.</returns>
    public static (IntPtr Handle, string? Error) Open(string path, string libraryFolder) => Open(path, libraryFolder, MaxDepth);

    private static (IntPtr Handle, string? Error) Open(string path, string libraryFolder, int depth)
    {
        for (var (opened, tried) = (DynamicLoader.Open(path), new HashSet<string>()); ; opened = DynamicLoader.Open(path))
        {
            if (opened.Handle != IntPtr.Zero || depth == 0 || Missing(opened.Error) is not { } name || !tried.Add(name)) return opened;
            if (Find(name, libraryFolder) is not { } neighbour || Open(neighbour, libraryFolder, depth - 1).Handle == IntPtr.Zero) return opened;
        }
    }

    /// <summary>The library that the loader misses, in its own words, or null where something else is wrong.</summary>
    internal static string? Missing(string? error) =>
        error?.IndexOf(NotFound, StringComparison.Ordinal) is > 0 and var end && !error.AsSpan(0, end).Contains('/') ? error[..end] : null;

    /// <summary>The path of a library in a package beside torch, or null.</summary>
    internal static string? Find(string name, string libraryFolder)
    {
        var site = Path.GetDirectoryName(Path.GetDirectoryName(Path.GetFullPath(libraryFolder).TrimEnd('/')));
        if (site is null || name != Path.GetFileName(name)) return null;
        var nvidia = Path.Combine(site, "nvidia");
        var packages = Directory.Exists(nvidia) ? Directory.GetDirectories(nvidia).Select(package => Path.Combine(package, "lib")) : [];
        return Directory.GetDirectories(site, "*.libs").Concat(packages).Order(StringComparer.Ordinal)
            .Select(folder => Path.Combine(folder, name)).FirstOrDefault(File.Exists);
    }
}
