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
    private static readonly Lock Gate = new();
    private static LibTorchInfo? info;

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
        ThreadWaits.Shorten();
        TensorPages.Enlarge();
        var folder = LibTorchFolder.Find(options.Folder);
        var cache = LibraryCache.Default();
        // An installed torch serves as it stands: the point of naming it is to share its libraries.
        var isPrivate = folder.IsBundled && (options.Private || AnotherIsMapped(folder.Path));
        var loaded = new Dictionary<string, string>();
        var handles = new Dictionary<string, IntPtr>();
        foreach (var name in folder.Libraries)
        {
            var path = Path.Combine(folder.Path, name);
            loaded[name] = isPrivate ? PrivateCopies.Make(cache, path) : path;
            handles[name] = Open(loaded[name], folder);
        }
        var shim = LibTorchFolder.FindShim();
        loaded[LibTorchFolder.Shim] = isPrivate ? PrivateCopies.Make(cache, shim) : ShimRepair.Path(cache, shim);
        handles[LibTorchFolder.Shim] = Open(loaded[LibTorchFolder.Shim], folder);
        AnswerTorchSharp(handles);
        NativeApi.Bind(handles["libtorch_cpu.so"]);
        if (options.Threads > 0) torch.set_num_threads(options.Threads);
        // Said either way: libtorch's own default differs between operators.
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = options.Tf32;

        var result = new LibTorchInfo
        {
            Folder = folder.Path,
            Origin = folder.IsBundled ? "bundled" : "installed torch",
            Version = AbiVersion(),
            IsPrivate = isPrivate,
            IsRepaired = loaded[LibTorchFolder.Shim] != shim,
            HasCudaLibraries = folder.HasCuda,
            Libraries = loaded,
            Tf32 = torch.backends.cuda.matmul.allow_tf32,
            Threads = torch.get_num_threads(),
        };
        SelfTest.Run(result);
        return result;
    }

    // A libtorch that came first, whoever loaded it, would answer to our libraries' names.
    private static bool AnotherIsMapped(string folder) => File.ReadLines("/proc/self/maps")
        .Where(line => line.EndsWith("/libtorch_cpu.so", StringComparison.Ordinal))
        .Any(line => !line.EndsWith($"{folder}/libtorch_cpu.so", StringComparison.Ordinal));

    private static IntPtr Open(string path, LibTorchFolder folder)
    {
        var (handle, error) = folder.IsBundled ? DynamicLoader.Open(path) : NeighbourLibraries.Open(path, folder.Path);
        return handle != IntPtr.Zero
            ? handle
            : throw InterpException.Precondition("LIBTORCH_NOT_LOADABLE", $"'{path}' does not load: {error}");
    }

    // TorchSharp probes by these names; the plain libraries lie in no probing path, so it is asked here.
    private static void AnswerTorchSharp(Dictionary<string, IntPtr> handles) =>
        AssemblyLoadContext.GetLoadContext(typeof(torch).Assembly)!.ResolvingUnmanagedDll += (_, name) =>
            handles.GetValueOrDefault(name switch
            {
                "LibTorchSharp" or "torch_cpu" or "torch_cuda" => $"lib{name}.so",
                _ => "",
            });

    // One byte each: 0x020a000000000000 is 2.10.0.
    private static string AbiVersion()
    {
        var abi = NativeApi.AbiVersion;
        return $"{abi >> 56}.{abi >> 48 & 0xff}.{abi >> 40 & 0xff}";
    }
}
