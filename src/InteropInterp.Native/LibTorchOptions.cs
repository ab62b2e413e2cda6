namespace InteropInterp.Native;

/// <summary>How libtorch gets into this process.</summary>
public sealed record LibTorchOptions
{
    /// <summary>
    /// A folder of an installed torch 2.10 to 2.12 whose own libraries serve instead of the bundled ones.
    /// Default: $INTEROPINTERP_LIBTORCH.
    /// </summary>
    public string? Folder { get; init; } = Environment.GetEnvironmentVariable("INTEROPINTERP_LIBTORCH");

    /// <summary>
    /// Load copies that share nothing with any other torch of this process. Needed in a Python process where torch can be
    /// imported, before or after. Default: $INTEROPINTERP_PRIVATE_LIBTORCH is 1.
    /// </summary>
    public bool Private { get; init; } = Environment.GetEnvironmentVariable("INTEROPINTERP_PRIVATE_LIBTORCH") == "1";

    /// <summary>
    /// Multiply float32 matrices on CUDA in TF32: faster, with 10 bits of mantissa instead of 23. One setting of the whole process.
    /// Default: $INTEROPINTERP_TF32 is 1.
    /// </summary>
    public bool Tf32 { get; init; } = Environment.GetEnvironmentVariable("INTEROPINTERP_TF32") == "1";

    /// <summary>Threads of one operator; 0 leaves libtorch's choice (the cores).</summary>
    public int Threads { get; init; }
}
