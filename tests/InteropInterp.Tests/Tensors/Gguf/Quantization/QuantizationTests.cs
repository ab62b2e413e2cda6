using InteropInterp.Tensors.Gguf;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Tensors.Gguf.Quantization;

public sealed class QuantizationTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    private static readonly Dictionary<string, (uint Code, int Bytes)> Formats = new()
    {
        ["Q4_0"] = (2, 18), ["Q4_1"] = (3, 20), ["Q5_0"] = (6, 22), ["Q5_1"] = (7, 24), ["Q8_0"] = (8, 34),
    };

    private float[] Dequantize(string format, byte[] data, ScalarType dtype = ScalarType.Float32)
    {
        var path = folder.File("q.gguf");
        var blocks = data.Length / Formats[format].Bytes;
        File.WriteAllBytes(path, new GgufBuilder().Tensor("x", Formats[format].Code, [32, (ulong)blocks], data).Build());
        using var file = GgufFile.Open(path);
        using var scope = NewDisposeScope();
        Assert.Equal(format, file.Entries["x"].Format);
        var tensor = file.Read("x", dtype);
        Assert.Equal([blocks, 32], tensor.shape);
        return Values.Of<float>(tensor.to(ScalarType.Float32));
    }

    private static byte[] Half(float value) => BitConverter.GetBytes((Half)value);

    // Byte j holds code j in its low half and code j+16 in its high half: here j and 15-j.
    private static readonly byte[] Nibbles = Enumerable.Range(0, 16).Select(j => (byte)(j | 15 - j << 4)).ToArray();

    private static readonly int[] Codes = [.. Enumerable.Range(0, 16), .. Enumerable.Range(0, 16).Select(j => 15 - j)];

    // Bits 0, 5, 10, 15 and 16, 31 are set.
    private const uint Fifth = 0x80018421;

    private static int Code5(int j) => Codes[j] + (j is 0 or 5 or 10 or 15 or 16 or 31 ? 16 : 0);

    [Fact]
    public void Q4_0_by_hand() => Assert.Equal(Codes.Select(c => (c - 8) * 0.25f), Dequantize("Q4_0", [.. Half(0.25f), .. Nibbles]));

    [Fact]
    public void Q4_1_by_hand() =>
        Assert.Equal(Codes.Select(c => c * 0.5f - 3), Dequantize("Q4_1", [.. Half(0.5f), .. Half(-3), .. Nibbles]));

    [Fact]
    public void Q5_0_by_hand() =>
        Assert.Equal(Enumerable.Range(0, 32).Select(j => (Code5(j) - 16) * 0.25f),
            Dequantize("Q5_0", [.. Half(0.25f), .. BitConverter.GetBytes(Fifth), .. Nibbles]));

    [Fact]
    public void Q5_1_by_hand() => Assert.Equal(
        Enumerable.Range(0, 32).Select(j => Code5(j) * 0.25f + 7),
        Dequantize("Q5_1", [.. Half(0.25f), .. Half(7), .. BitConverter.GetBytes(Fifth), .. Nibbles]));

    [Fact]
    public void Q8_0_by_hand() => Assert.Equal(
        Enumerable.Range(0, 32).Select(j => (j * 8 - 128) * 2f),
        Dequantize("Q8_0", [.. Half(2), .. Enumerable.Range(0, 32).Select(j => (byte)(j * 8 - 128))]));

    [Theory]
    [InlineData("Q4_0")]
    [InlineData("Q4_1")]
    [InlineData("Q5_0")]
    [InlineData("Q5_1")]
    [InlineData("Q8_0")]
    public void Any_bytes_at_all_give_what_the_literal_loops_give(string format)
    {
        // Scales of every kind come up: subnormal, infinite, NaN, negative. More than one chunk and an uneven rest.
        var data = new byte[(40_000 + 7) * Formats[format].Bytes];
        new Random(7).NextBytes(data);
        var expected = LiteralBlocks.Dequantize(format, data);
        Assert.Contains(expected, float.IsNaN);
        Assert.Contains(expected, float.IsInfinity);
        Values.AssertSame(expected, Dequantize(format, data));
        Values.AssertSame(expected, Dequantize(format, data, ScalarType.Float64));
    }

    [Theory]
    [InlineData("Q4_0")]
    [InlineData("Q8_0")]
    public void Subnormal_scales_and_negative_zeros_survive(string format)
    {
        // Scale: the smallest negative float16, -2^-24; the centre code gives -0.
        var data = new byte[Formats[format].Bytes];
        data.AsSpan().Fill(format == "Q4_0" ? (byte)0x98 : (byte)0);
        (data[0], data[1]) = (1, 0x80);
        var weights = Dequantize(format, data);
        Assert.Equal(0x80000000u, BitConverter.SingleToUInt32Bits(weights[0]));
        if (format == "Q4_0") Assert.Equal(-1f / (1 << 24), weights[16]);
    }
}
