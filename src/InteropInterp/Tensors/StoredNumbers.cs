using static TorchSharp.torch;

namespace InteropInterp.Tensors;

/// <summary>
/// How storage that torch has no dtype for becomes numbers that it has: runs of <see cref="BlockSize"/> elements in
/// <see cref="BlockBytes"/> bytes, decoded into <see cref="Into"/>.
/// </summary>
internal sealed unsafe record StoredNumbers(ScalarType Into, int BlockSize, int BlockBytes, Action<IntPtr, IntPtr, int> Decode)
{
    /// <summary>Bytes of an element of <see cref="Into"/>.</summary>
    public int ElementSize => Into == ScalarType.Float64 ? 8 : 4;

    /// <summary>The decoding of a tensor that shall be read as <paramref name="wanted"/>; null where none is documented.</summary>
    public static StoredNumbers? For(TensorEntry entry, ScalarType wanted)
    {
        var type = entry.Type;
        if (entry.Quantization is { } format)
            return new StoredNumbers(ScalarType.Float32, format.BlockSize, format.BlockBytes, (source, into, count) =>
                format.Dequantize(Bytes(source, count / format.BlockSize * format.BlockBytes), new Span<float>((void*)into, count)));
        if (Float8.Has(type))
            return new StoredNumbers(ScalarType.Float32, 1, 1, (source, into, count) =>
                Float8.Decode(type, Bytes(source, count), new Span<float>((void*)into, count)));
        if (!UnsignedIntegers.Has(type)) return null;
        var (size, narrowed) = (type.Bits() / 8, wanted != ScalarType.Float64);
        return new StoredNumbers(ScalarType.Float64, 1, size, (source, into, count) =>
            UnsignedIntegers.Decode(type, Bytes(source, count * size), new Span<double>((void*)into, count), narrowed));
    }

    private static ReadOnlySpan<byte> Bytes(IntPtr source, int length) => new((void*)source, length);
}
