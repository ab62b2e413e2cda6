using static TorchSharp.torch;

namespace InteropInterp.Tensors;

/// <summary>
/// How the numbers of a tensor lie in a file: the dtypes of safetensors 0.8 under their own names and in its order (rising
/// alignment, which decides the order in a written file), and blocks of weights in a GGUF.
/// </summary>
public enum StorageType
{
    BOOL,
    F4,
    F6_E2M3,
    F6_E3M2,
    U8,
    I8,
    F8_E5M2,
    F8_E4M3,
    F8_E8M0,
    F8_E4M3FNUZ,
    F8_E5M2FNUZ,
    I16,
    U16,
    F16,
    BF16,
    I32,
    U32,
    F32,
    C64,
    F64,
    I64,
    U64,

    /// <summary>Not a type of safetensors: blocks that <see cref="TensorEntry.Quantization"/> describes.</summary>
    Quantized,
}

/// <summary>What is known of each <see cref="StorageType"/>.</summary>
public static class StorageTypes
{
    private static readonly Dictionary<StorageType, ScalarType> InTorch = new()
    {
        [StorageType.BOOL] = ScalarType.Bool,
        [StorageType.U8] = ScalarType.Byte,
        [StorageType.I8] = ScalarType.Int8,
        [StorageType.I16] = ScalarType.Int16,
        [StorageType.F16] = ScalarType.Float16,
        [StorageType.BF16] = ScalarType.BFloat16,
        [StorageType.I32] = ScalarType.Int32,
        [StorageType.F32] = ScalarType.Float32,
        [StorageType.C64] = ScalarType.ComplexFloat32,
        [StorageType.F64] = ScalarType.Float64,
        [StorageType.I64] = ScalarType.Int64,
    };

    private static readonly Dictionary<ScalarType, StorageType> FromTorch = InTorch.ToDictionary(x => x.Value, x => x.Key);

    /// <summary>Bits of one element, as stored: 4, 6, 8, 16, 32 or 64.</summary>
    /// <exception cref="InterpException">NO_ELEMENT_SIZE for <see cref="StorageType.Quantized"/>.</exception>
    public static int Bits(this StorageType type) => type switch
    {
        StorageType.F4 => 4,
        StorageType.F6_E2M3 or StorageType.F6_E3M2 => 6,
        <= StorageType.F8_E5M2FNUZ => 8,
        <= StorageType.BF16 => 16,
        <= StorageType.F32 => 32,
        <= StorageType.U64 => 64,
        _ => throw InterpException.Invalid("NO_ELEMENT_SIZE", "Quantised weights are stored in blocks, not one by one."),
    };

    /// <summary>The dtype that libtorch, as TorchSharp shows it, has for this storage; null where it has none.</summary>
    public static ScalarType? Torch(this StorageType type) => InTorch.TryGetValue(type, out var torch) ? torch : null;

    /// <summary>How a tensor of this dtype is stored.</summary>
    /// <exception cref="InterpException">DTYPE_NOT_STORABLE: safetensors has no such type.</exception>
    public static StorageType Of(ScalarType dtype) => FromTorch.TryGetValue(dtype, out var type)
        ? type
        : throw InterpException.Invalid("DTYPE_NOT_STORABLE",
            $"Tensors of type {dtype} cannot be stored; these can: {string.Join(", ", FromTorch.Keys)}.");

    /// <summary>The type that a safetensors header calls <paramref name="name"/> (exact spelling).</summary>
    public static bool TryParse(string name, out StorageType type) => ByName.TryGetValue(name, out type);

    private static readonly Dictionary<string, StorageType> ByName = Enum.GetValues<StorageType>()
        .Where(type => type != StorageType.Quantized).ToDictionary(type => type.ToString(), StringComparer.Ordinal);

    /// <summary>The names a safetensors header may use.</summary>
    public static IEnumerable<string> Names => ByName.Keys;
}
