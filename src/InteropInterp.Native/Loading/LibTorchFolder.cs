using System.Text.RegularExpressions;

namespace InteropInterp.Native.Loading;

/// <summary>A folder with a libtorch in it, chosen and checked without loading it.</summary>
internal sealed partial record LibTorchFolder(string Path, bool IsBundled)
{
    public const string Shim = "libLibTorchSharp.so";

    private static readonly string[] Known = ["libc10.so", "libtorch_cpu.so", "libc10_cuda.so", "libtorch_cuda.so", "libtorch.so"];
    private static readonly string[] Required = ["libc10.so", "libtorch_cpu.so", "libtorch.so"];

    /// <summary>
    /// File names, in the order they are loaded: OpenMP's, whose hashed file name only its own folder answers to, then libtorch's;
    /// libtorch_cuda is there in a CUDA build only.
    /// </summary>
    public IReadOnlyList<string> Libraries { get; } =
    [
        .. Directory.GetFiles(Path, "libgomp*.so*").Select(file => System.IO.Path.GetFileName(file)!).Order(StringComparer.Ordinal),
        .. Known.Where(name => File.Exists(System.IO.Path.Combine(Path, name))),
    ];

    public bool HasCuda => Libraries.Contains("libtorch_cuda.so");

    /// <summary>The folder named by INTEROPINTERP_LIBTORCH, else the one that comes with the engine.</summary>
    public static LibTorchFolder Find(string? named)
    {
        if (!string.IsNullOrEmpty(named)) return Installed(named);
        var found = Candidates().FirstOrDefault(path => Missing(path).Count == 0);
        return found is not null
            ? new(found, true)
            : throw InterpException.NotFound("LIBTORCH_NOT_FOUND",
                $"No libtorch found. Looked for {string.Join(", ", Required)} in: {string.Join("; ", Candidates())}. " +
                "Set INTEROPINTERP_LIBTORCH to a torch/lib folder of version 2.10 to 2.12.");
    }

    /// <summary>The path of TorchSharp's own native part: it comes with the engine, also where libtorch does not.</summary>
    public static string FindShim() => Candidates().Select(path => System.IO.Path.Combine(path, Shim)).FirstOrDefault(File.Exists)
        ?? throw InterpException.NotFound("LIBTORCHSHARP_NOT_FOUND",
            $"{Shim} is not beside the engine. Looked in: {string.Join("; ", Candidates())}. Build or install it again.");

    // Beside the engine's own assembly, which in a Python process is not the application's folder.
    private static IEnumerable<string> Candidates()
    {
        var home = System.IO.Path.GetDirectoryName(typeof(LibTorchFolder).Assembly.Location);
        return from root in new[] { home, AppContext.BaseDirectory.TrimEnd('/') }.Distinct()
               where !string.IsNullOrEmpty(root)
               from folder in new[] { "libtorch", "runtimes/linux-x64/native" }
               select System.IO.Path.Combine(root, folder);
    }

    private static List<string> Missing(string folder) =>
        Required.Where(name => !File.Exists(System.IO.Path.Combine(folder, name))).ToList();

    // An installed Python torch: its version file is read, it is not loaded. Other versions have other object layouts
    // (TensorImpl shrank between 2.12 and 2.13), so borrowing their libraries would read garbage.
    private static LibTorchFolder Installed(string named)
    {
        var lib = Directory.Exists(System.IO.Path.Combine(named, "lib")) ? System.IO.Path.Combine(named, "lib") : named;
        var missing = Missing(lib);
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
        return new(lib, false);
    }

    private static Version? ReadVersion(string file, Regex pattern)
    {
        if (!File.Exists(file)) return null;
        var match = pattern.Match(File.ReadAllText(file));
        return match.Success ? new Version(int.Parse(match.Groups[1].Value), int.Parse(match.Groups[2].Value)) : null;
    }

    [GeneratedRegex(@"__version__\s*=\s*['""](\d{1,4})\.(\d{1,4})")]
    private static partial Regex PythonVersion();

    [GeneratedRegex(@"^\s*(\d{1,4})\.(\d{1,4})")]
    private static partial Regex PlainVersion();
}
