namespace InteropInterp.Tensors.Gguf.Quantization;

/// <summary>
/// A GGML block format: weights in runs of <see cref="BlockSize"/> that share their scales. Formats as ggml-quants.c and
/// ggml-common.h (github.com/ggml-org/llama.cpp) define them; every product of a scale and a code is exact in float32, so
/// results do not depend on whether a compiler fuses the addition.
/// </summary>
public interface IQuantization
{
    /// <summary>ggml's name: Q4_1.</summary>
    string Name { get; }

    /// <summary>The value of enum ggml_type.</summary>
    uint Code { get; }

    /// <summary>Weights of a block.</summary>
    int BlockSize { get; }

    /// <summary>Bytes of a block.</summary>
    int BlockBytes { get; }

    /// <summary>
    /// Writes the weights of whole blocks; <paramref name="weights"/> holds BlockSize numbers for each BlockBytes of
    /// <paramref name="blocks"/>.
    /// </summary>
    void Dequantize(ReadOnlySpan<byte> blocks, Span<float> weights);
}
