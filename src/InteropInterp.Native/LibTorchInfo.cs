namespace InteropInterp.Native;

/// <summary>Which libtorch this process runs on; what `interp doctor` prints.</summary>
public sealed record LibTorchInfo
{
    public required string Folder { get; init; }

    /// <summary>"bundled" or "installed torch".</summary>
    public required string Origin { get; init; }

    /// <summary>As the library itself says, for example 2.10.0.</summary>
    public required string Version { get; init; }

    /// <summary>Loaded from renamed copies that share nothing with another torch of this process.</summary>
    public required bool IsPrivate { get; init; }

    /// <summary>An edited copy of libLibTorchSharp.so serves: it does not load here as it is shipped, or all are private copies.</summary>
    public required bool IsRepaired { get; init; }

    public required bool HasCudaLibraries { get; init; }

    /// <summary>Library name to the path it was loaded from.</summary>
    public required IReadOnlyDictionary<string, string> Libraries { get; init; }

    /// <summary>Float32 matrices are multiplied in TF32 on CUDA.</summary>
    public required bool Tf32 { get; init; }

    public required int Threads { get; init; }
}
