using InteropInterp.Tensors.Gguf.Quantization;

namespace InteropInterp.Tensors.Gguf;

/// <summary>What the type codes of a GGUF (enum ggml_type) stand for. A new block format is its own file and a line here.</summary>
internal static class GgufTypes
{
    private static readonly Dictionary<uint, StorageType> Plain = new()
    {
        [0] = StorageType.F32,
        [1] = StorageType.F16,
        [24] = StorageType.I8,
        [25] = StorageType.I16,
        [26] = StorageType.I32,
        [27] = StorageType.I64,
        [28] = StorageType.F64,
        [30] = StorageType.BF16,
    };

    private static readonly Dictionary<uint, IQuantization> Quantized =
        new IQuantization[] { new Q4_0(), new Q4_1(), new Q5_0(), new Q5_1(), new Q8_0() }.ToDictionary(format => format.Code);

    private static readonly Dictionary<uint, string> Others = new()
    {
        [9] = "Q8_1", [10] = "Q2_K", [11] = "Q3_K", [12] = "Q4_K", [13] = "Q5_K", [14] = "Q6_K", [15] = "Q8_K", [16] = "IQ2_XXS",
        [17] = "IQ2_XS", [18] = "IQ3_XXS", [19] = "IQ1_S", [20] = "IQ4_NL", [21] = "IQ3_S", [22] = "IQ2_S", [23] = "IQ4_XS",
        [29] = "IQ1_M", [34] = "TQ1_0", [35] = "TQ2_0", [39] = "MXFP4",
    };

    /// <summary>How a tensor of this code is stored.</summary>
    /// <exception cref="InterpException">GGUF_TYPE_UNSUPPORTED, naming the type and those that are read.</exception>
    public static (StorageType Type, IQuantization? Quantization) Find(uint code, string tensor, string file)
    {
        if (Plain.TryGetValue(code, out var plain)) return (plain, null);
        if (Quantized.TryGetValue(code, out var quantization)) return (StorageType.Quantized, quantization);
        var readable = Plain.Values.Select(type => type.ToString()).Concat(Quantized.Values.Select(format => format.Name));
        var name = Others.TryGetValue(code, out var other) ? $"{other} (code {code})" : $"the unknown code {code}";
        throw new InterpException(ErrorCode.Unimplemented, "GGUF_TYPE_UNSUPPORTED",
            $"'{file}': tensor {tensor} is stored as {name}; these are read: {string.Join(", ", readable)}.");
    }
}
