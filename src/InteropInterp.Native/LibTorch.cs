using System.Runtime.InteropServices;
using System.Runtime.Loader;
using InteropInterp.Native.Interop;
using InteropInterp.Native.Loading;
using TorchSharp;

namespace InteropInterp.Native;

/// <summary>
/// Brings libtorch into the process, once, before anything touches <see cref="torch"/>: finds it, repairs what does not load
/// on this machine, isolates it where another torch may live beside it, and proves that it computes.
/// </summary>
public static class LibTorch
{
    private const string ShimVersion = "GLIBCXX_3.4.32";
    private static readonly Lock Gate = new();
    private static LibTorchInfo? info;

    // Equal lengths: the names are overwritten in place.
    private static readonly Dictionary<string, string> PrivateNames = new()
    {
        ["libc10.so"] = "libx10.so",
        ["libtorch_cpu.so"] = "libxorch_cpu.so",
        ["libc10_cuda.so"] = "libx10_cuda.so",
        ["libtorch_cuda.so"] = "libxorch_cuda.so",
        ["libtorch.so"] = "libxorch.so",
        ["libLibTorchSharp.so"] = "libLibXorchSharp.so",
    };

    /// <summary>What was loaded, or null before <see cref="Load"/>.</summary>
    public static LibTorchInfo? Info => info;

    /// <summary>Loads libtorch. A second call returns what the first one loaded, whatever its options.</summary>
    /// <exception cref="InterpException">LIBTORCH_*: names the library that is missing or wrong, and the fix.</exception>
    public static LibTorchInfo Load(LibTorchOptions? options = null)
    {
        lock (Gate)
        {
            return info ??= LoadOnce(options ?? new LibTorchOptions());
        }
    }

    private static LibTorchInfo LoadOnce(LibTorchOptions options)
    {
        if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64)
            throw new InterpException(ErrorCode.Unimplemented, "PLATFORM_UNSUPPORTED",
                $"The engine runs on Linux x64; this is {RuntimeInformation.OSDescription} {RuntimeInformation.ProcessArchitecture}.");
        var folder = LibTorchFolder.Find(options.Folder);
        var cache = LibraryCache.Default();
        // An installed torch serves as it stands: the point of naming it is to share its libraries.
        var isPrivate = options.Private && folder.Origin == "bundled";
        var loaded = new Dictionary<string, string>();
        var core = IntPtr.Zero;

        // Found by SONAME afterwards, also by copies that lie elsewhere.
        foreach (var gomp in Directory.GetFiles(folder.Path, "libgomp*.so*")) Open(gomp, loaded, "libgomp");
        foreach (var name in LibTorchFolder.Libraries)
        {
            var path = Path.Combine(folder.Path, name);
            if (!File.Exists(path)) continue;
            if (isPrivate) path = Isolated(cache, path);
            var handle = Open(path, loaded, name);
            if (name == "libtorch_cpu.so") core = handle;
        }
        var (shim, repaired) = OpenShim(cache, isPrivate, loaded);
        AnswerTorchSharp(shim, core);
        NativeApi.Bind(core, shim);
        if (options.Threads > 0) torch.set_num_threads(options.Threads);

        var result = new LibTorchInfo
        {
            Folder = folder.Path,
            Origin = folder.Origin,
            Version = AbiVersion(),
            IsPrivate = isPrivate,
            IsRepaired = repaired,
            HasCudaLibraries = folder.HasCuda,
            Libraries = loaded,
            Threads = torch.get_num_threads(),
        };
        SelfTest.Run(result);
        return result;
    }

    private static string Isolated(LibraryCache cache, string path) =>
        cache.Get(path, PrivateNames[Path.GetFileName(path)], "private", image =>
        {
            image.Rename(PrivateNames);
            image.DemoteUniqueSymbols();
        });

    // libLibTorchSharp.so asks for GLIBCXX_3.4.32 (GCC 13) for one symbol that it never uses.
    private static (IntPtr Handle, bool Repaired) OpenShim(LibraryCache cache, bool isPrivate, Dictionary<string, string> loaded)
    {
        var original = LibTorchFolder.FindShim();
        if (!isPrivate && NativeLibrary.TryLoad(original, out var plain))
        {
            loaded[LibTorchFolder.Shim] = original;
            return (plain, false);
        }
        var copy = isPrivate
            ? cache.Get(original, PrivateNames[LibTorchFolder.Shim], "private", image =>
            {
                image.WeakenVersion(ShimVersion);
                image.Rename(PrivateNames);
                image.DemoteUniqueSymbols();
            })
            : cache.Get(original, LibTorchFolder.Shim, "repaired", image => image.WeakenVersion(ShimVersion));
        return (Open(copy, loaded, LibTorchFolder.Shim), true);
    }

    private static IntPtr Open(string path, Dictionary<string, string> loaded, string name)
    {
        try
        {
            var handle = NativeLibrary.Load(path);
            loaded[name] = path;
            return handle;
        }
        catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
        {
            throw new InterpException(ErrorCode.FailedPrecondition, "LIBTORCH_NOT_LOADABLE", $"'{path}' does not load: {e.Message}",
                innerException: e);
        }
    }

    // TorchSharp probes torch_cpu and LibTorchSharp by name; the plain names lie in no probing path, so it is asked here.
    private static void AnswerTorchSharp(IntPtr shim, IntPtr core)
    {
        var context = AssemblyLoadContext.GetLoadContext(typeof(torch).Assembly)!;
        context.ResolvingUnmanagedDll += (_, name) => name switch
        {
            "LibTorchSharp" => shim,
            "torch_cpu" => core,
            _ => IntPtr.Zero,
        };
    }

    // 0x0A0B... reads as major, minor: 0x020a000000000000 is 2.10.
    private static string AbiVersion()
    {
        var abi = NativeApi.AbiVersion;
        return $"{abi >> 56}.{abi >> 48 & 0xff}.{abi >> 40 & 0xff}";
    }
}
