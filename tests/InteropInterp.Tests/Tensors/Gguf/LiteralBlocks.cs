namespace InteropInterp.Tests.Tensors.Gguf;

/// <summary>The dequantisation loops of ggml-quants.c, written out once more, a weight at a time.</summary>
internal static class LiteralBlocks
{
    public static float[] Dequantize(string format, ReadOnlySpan<byte> data)
    {
        var size = new Dictionary<string, int> { ["Q4_0"] = 18, ["Q4_1"] = 20, ["Q5_0"] = 22, ["Q5_1"] = 24, ["Q8_0"] = 34 }[format];
        var weights = new float[data.Length / size * 32];
        for (var i = 0; i < data.Length / size; i++)
        {
            var b = data.Slice(i * size, size);
            for (var j = 0; j < 32; j++) weights[i * 32 + j] = Weight(format, b, j);
        }
        return weights;
    }

    private static float Weight(string format, ReadOnlySpan<byte> b, int j)
    {
        var d = (float)BitConverter.ToHalf(b);
        var m = (float)BitConverter.ToHalf(b[2..]);
        switch (format)
        {
            case "Q8_0": return (sbyte)b[2 + j] * d;
            case "Q4_0": return (Nibble(b[2..], j) - 8) * d;
            case "Q4_1": return Nibble(b[4..], j) * d + m;
            case "Q5_0": return ((Nibble(b[6..], j) | Bit(b[2..], j) << 4) - 16) * d;
            default: return (Nibble(b[8..], j) | Bit(b[4..], j) << 4) * d + m;
        }
    }

    private static int Nibble(ReadOnlySpan<byte> packed, int j) => j < 16 ? packed[j] & 0x0F : packed[j - 16] >> 4;

    private static int Bit(ReadOnlySpan<byte> bits, int j) => bits[j / 8] >> j % 8 & 1;
}
