namespace InteropInterp.Native.Loading;

/// <summary>
/// Copies of libtorch's libraries that share nothing with another libtorch of the process: they carry other names, so that the
/// loader cannot take one for the other, and no process-wide unique symbols.
/// </summary>
internal static class PrivateCopies
{
    // Overwritten in place, so each pair is of equal length. libgomp's file name and the name it gives itself differ.
    private static readonly (string Name, string Other)[] Stems =
    [
        ("libtorch", "libxorch"), ("libc10", "libx10"), ("libgomp", "libxomp"), ("libLibTorchSharp", "libLibXorchSharp"),
    ];

    /// <summary>The path of the private copy of a library, made now if it is not there.</summary>
    public static string Make(LibraryCache cache, string path) => cache.Get(path, Rename(Path.GetFileName(path))!, "private", image =>
    {
        image.Rename(Rename);
        image.DemoteUniqueSymbols();
        if (Path.GetFileName(path) == LibTorchFolder.Shim) ShimRepair.Apply(image);
    });

    /// <summary>The private name of a library, or null for one that is not libtorch's.</summary>
    public static string? Rename(string name)
    {
        foreach (var (stem, other) in Stems)
            if (name.StartsWith(stem, StringComparison.Ordinal)) return other + name[stem.Length..];
        return null;
    }
}
