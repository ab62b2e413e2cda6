using System.Text.RegularExpressions;

namespace InteropInterp.Native.Loading;

/// <summary>A folder with a libtorch in it, and what is known of its version without loading it.</summary>
internal sealed partial record LibTorchFolder(string Path, string Origin, Version? Version)
{
    public const string Shim = "libLibTorchSharp.so";

    /// <summary>In the order they are loaded. libtorch_cuda is there on machines with a CUDA build only.</summary>
    public static readonly string[] Libraries = ["libc10.so", "libtorch_cpu.so", "libc10_cuda.so", "libtorch_cuda.so", "libtorch.so"];

    private static readonly string[] Required = ["libc10.so", "libtorch_cpu.so", "libtorch.so"];

    public bool HasCuda => File.Exists(System.IO.Path.Combine(Path, "libtorch_cuda.so"));

    /// <summary>The folder named by INTEROPINTERP_LIBTORCH, else the one that comes with the engine.</summary>
    public static LibTorchFolder Find(string? named)
    {
        if (!string.IsNullOrEmpty(named)) return Installed(named);
        var tried = Candidates().ToList();
        foreach (var (path, origin) in tried)
            if (Required.All(name => File.Exists(System.IO.Path.Combine(path, name)))) return new(path, origin, new Version(2, 10));
        throw InterpException.NotFound("LIBTORCH_NOT_FOUND",
            $"No libtorch found. Looked for {string.Join(", ", Required)} in: {string.Join("; ", tried.Select(t => t.Path))}. " +
            "Set INTEROPINTERP_LIBTORCH to a torch/lib folder of version 2.10 to 2.12.");
    }

    /// <summary>
    /// The folder of libLibTorchSharp.so, TorchSharp's own native part: it comes with the engine, also where libtorch does not.
    /// </summary>
    public static string FindShim() => Candidates()
        .Select(c => System.IO.Path.Combine(c.Path, Shim)).FirstOrDefault(File.Exists)
        ?? throw InterpException.NotFound("LIBTORCHSHARP_NOT_FOUND",
            $"{Shim} is not beside the engine. Looked in: {string.Join("; ", Candidates().Select(c => c.Path))}. Build or install it again.");

    private static IEnumerable<(string Path, string Origin)> Candidates()
    {
        var home = System.IO.Path.GetDirectoryName(typeof(LibTorchFolder).Assembly.Location);
        foreach (var root in new[] { home, AppContext.BaseDirectory }.Where(r => !string.IsNullOrEmpty(r)).Distinct())
        {
            yield return (System.IO.Path.Combine(root!, "libtorch"), "bundled");
            yield return (System.IO.Path.Combine(root!, "runtimes", "linux-x64", "native"), "bundled");
        }
    }

    // An installed Python torch: its version file is read, it is not loaded. Other versions have other object layouts
    // (TensorImpl shrank between 2.12 and 2.13), so borrowing their libraries would read garbage.
    private static LibTorchFolder Installed(string named)
    {
        var lib = Directory.Exists(System.IO.Path.Combine(named, "lib")) ? System.IO.Path.Combine(named, "lib") : named;
        var missing = Required.Where(name => !File.Exists(System.IO.Path.Combine(lib, name))).ToList();
        if (missing.Count > 0)
            throw InterpException.NotFound("LIBTORCH_NOT_FOUND",
                $"INTEROPINTERP_LIBTORCH={named} has no {string.Join(", ", missing)}. Point it to the lib folder of a torch 2.10 to 2.12.");
        var root = System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(lib).TrimEnd('/'))!;
        var version = ReadVersion(System.IO.Path.Combine(root, "version.py"), PythonVersion())
            ?? ReadVersion(System.IO.Path.Combine(root, "build-version"), PlainVersion());
        if (version is null)
            throw InterpException.Precondition("LIBTORCH_VERSION_UNKNOWN",
                $"INTEROPINTERP_LIBTORCH={named}: neither version.py nor build-version stands beside its lib folder, " +
                "so nothing says whether it is a torch 2.10 to 2.12.");
        if (version < new Version(2, 10) || version >= new Version(2, 13))
            throw InterpException.Precondition("LIBTORCH_VERSION_UNSUPPORTED",
                $"INTEROPINTERP_LIBTORCH={named} is torch {version}; the engine runs on the libraries of 2.10 to 2.12. " +
                "Unset it: the engine then loads a private copy of its own libtorch, and any torch lives beside it.");
        return new(lib, "installed torch", version);
    }

    private static Version? ReadVersion(string file, Regex pattern)
    {
        if (!File.Exists(file)) return null;
        var match = pattern.Match(File.ReadAllText(file));
        return match.Success ? new Version(int.Parse(match.Groups[1].Value), int.Parse(match.Groups[2].Value)) : null;
    }

    [GeneratedRegex(@"__version__\s*=\s*['""](\d+)\.(\d+)")]
    private static partial Regex PythonVersion();

    [GeneratedRegex(@"^\s*(\d+)\.(\d+)")]
    private static partial Regex PlainVersion();
}
