using InteropInterp.Tensors.Gguf.Quantization;

namespace InteropInterp.Tensors;

/// <summary>One tensor of a file, not read yet.</summary>
/// <param name="Name">As the file spells it.</param>
/// <param name="Type">How its numbers are stored.</param>
/// <param name="Shape">In torch's order, slowest dimension first; empty for a single number.</param>
/// <param name="Offset">Bytes from the start of the file that holds it.</param>
/// <param name="Length">Bytes.</param>
public sealed record TensorEntry(string Name, StorageType Type, IReadOnlyList<long> Shape, long Offset, long Length)
{
    /// <summary>The block format where <see cref="Type"/> is <see cref="StorageType.Quantized"/>, else null.</summary>
    public IQuantization? Quantization { get; init; }

    /// <summary>The format's own name of the type: BF16, F8_E4M3, Q4_1.</summary>
    public string Format => Quantization?.Name ?? Type.ToString();

    /// <summary>Elements.</summary>
    public long Count { get; } = TensorSize.Count(Shape)
        ?? throw InterpException.OutOfRange("TENSOR_TOO_LARGE", $"Tensor {Quoted.Name(Name)} has more elements than can be counted.");

    /// <summary>[2, 3] as people write it.</summary>
    internal string ShapeText => $"[{string.Join(", ", Shape)}]";
}
