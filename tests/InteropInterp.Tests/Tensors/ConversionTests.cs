using System.Runtime.InteropServices;
using InteropInterp.Tensors;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Tensors;

/// <summary>Every value of the narrow types, and the hard values of the wide ones, as float32 and float64.</summary>
public sealed class ConversionTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    private T[] Read<T>(string type, byte[] data, ScalarType wanted) where T : unmanaged
    {
        var path = folder.File($"{type}.safetensors");
        var count = data.Length * 8L / Enum.Parse<StorageType>(type).Bits();
        File.WriteAllBytes(path, LiteralSafeTensors.File(LiteralSafeTensors.Header(type, $"[{count}]", $"[0,{data.Length}]"), data));
        using var file = SafeTensorsFile.Open(path);
        using var scope = NewDisposeScope();
        return Values.Of<T>(file.Read("x", wanted));
    }

    private static readonly byte[] AllBytes = Enumerable.Range(0, 256).Select(i => (byte)i).ToArray();

    private static readonly ushort[] AllShorts = Enumerable.Range(0, 65536).Select(i => (ushort)i).ToArray();

    // sign · 2^(e-bias) · (1 + m/2^bits), by powers in float64; subnormals without the one.
    private static double Value(int code, int mantissa, int bias)
    {
        var (e, m) = ((code & 0x7f) >> mantissa, code % (1 << mantissa) / Math.Pow(2, mantissa));
        return (code < 128 ? 1 : -1) * (e == 0 ? Math.Pow(2, 1 - bias) * m : Math.Pow(2, e - bias) * (1 + m));
    }

    public static TheoryData<string, Func<int, double>> Float8 => new()
    {
        { "F8_E4M3", c => (c & 127) == 127 ? double.NaN : Value(c, 3, 7) },
        { "F8_E5M2", c => (c & 127) > 124 ? double.NaN : c == 124 ? 1 / 0d : c == 252 ? -1 / 0d : Value(c, 2, 15) },
        { "F8_E4M3FNUZ", c => c == 128 ? double.NaN : Value(c, 3, 8) },
        { "F8_E5M2FNUZ", c => c == 128 ? double.NaN : Value(c, 2, 16) },
        { "F8_E8M0", c => c == 255 ? double.NaN : Math.Pow(2, c - 127) },
    };

    [Theory]
    [MemberData(nameof(Float8), DisableDiscoveryEnumeration = true)]
    public void Every_float8_code_has_its_value(string type, Func<int, double> expected)
    {
        Values.AssertSame(AllBytes.Select(c => (float)expected(c)).ToArray(), Read<float>(type, AllBytes, ScalarType.Float32));
        Assert.Equal(AllBytes.Select(c => expected(c)), Read<double>(type, AllBytes, ScalarType.Float64));
    }

    [Theory]
    [InlineData("F8_E4M3", 448, 1.0 / 512)]
    [InlineData("F8_E5M2", 57344, 1.0 / 65536)]
    [InlineData("F8_E4M3FNUZ", 240, 1.0 / 1024)]
    [InlineData("F8_E5M2FNUZ", 57344, 1.0 / 131072)]
    public void Float8_reaches_from_the_smallest_to_the_largest_published_value(string type, double largest, double smallest)
    {
        var finite = Read<double>(type, AllBytes, ScalarType.Float64).Where(x => double.IsFinite(x) && x > 0).ToList();
        Assert.Equal(largest, finite.Max());
        Assert.Equal(smallest, finite.Min());
    }

    [Fact]
    public void Every_float16_is_exact_subnormals_and_nan_included()
    {
        var data = MemoryMarshal.AsBytes(AllShorts.AsSpan()).ToArray();
        var expected = AllShorts.Select(x => (float)BitConverter.UInt16BitsToHalf(x)).ToArray();
        Values.AssertSame(expected, Read<float>("F16", data, ScalarType.Float32));
    }

    [Fact]
    public void Every_bfloat16_is_exact_subnormals_and_nan_included()
    {
        var data = MemoryMarshal.AsBytes(AllShorts.AsSpan()).ToArray();
        var expected = AllShorts.Select(x => BitConverter.UInt32BitsToSingle((uint)x << 16)).ToArray();
        Values.AssertSame(expected, Read<float>("BF16", data, ScalarType.Float32));
        Assert.Equal(expected.Select(x => (double)x), Read<double>("BF16", data, ScalarType.Float64));
    }

    [Fact]
    public void Unsigned_integers_are_rounded_once()
    {
        Assert.Equal([0f, 1, 40000, 65535], Read<float>("U16", Bytes<ushort>(0, 1, 40000, 65535), ScalarType.Float32));
        Assert.Equal([0d, 4294967295], Read<double>("U32", Bytes(0u, uint.MaxValue), ScalarType.Float64));
        // 2^24+1 is half way: to even.
        var halfWay = Bytes(16777217u, 16777219u, uint.MaxValue);
        Assert.Equal([16777216f, 16777220f, 4294967296f], Read<float>("U32", halfWay, ScalarType.Float32));
        // Just over half way in float32, and exactly half way after a rounding to float64.
        var over = Bytes((1UL << 63) + (1UL << 39) + 1);
        Assert.Equal([BitConverter.Int32BitsToSingle(0x5f000001)], Read<float>("U64", over, ScalarType.Float32));
        var large = Bytes(1UL << 63, ulong.MaxValue, (1UL << 53) + 1);
        Assert.Equal([9223372036854775808d, 18446744073709551616d, 9007199254740992], Read<double>("U64", large, ScalarType.Float64));
    }

    [Fact]
    public void Signed_integers_and_flags_become_numbers()
    {
        Assert.Equal([-128f, 127], Read<float>("I8", [128, 127], ScalarType.Float32));
        Assert.Equal([long.MinValue, 9007199254740991d], Read<double>("I64", Bytes(long.MinValue, 9007199254740991), ScalarType.Float64));
        Assert.Equal([0f, 1, 1], Read<float>("BOOL", [0, 1, 1], ScalarType.Float32));
    }

    [Fact]
    public void Wider_floats_are_rounded_to_nearest()
    {
        var wide = Bytes(0.1, 1e300, float.Epsilon);
        Assert.Equal([0.1f, float.PositiveInfinity, float.Epsilon], Read<float>("F64", wide, ScalarType.Float32));
        var half = Read<Half>("F32", Bytes(1f / 3, 65520f), ScalarType.Float16);
        Assert.Equal([(Half)(1f / 3), Half.PositiveInfinity], half);
    }

    [Fact]
    public void Tensors_of_many_chunks_are_whole()
    {
        var data = new byte[5_000_002];
        new Random(1).NextBytes(data);
        var wide = MemoryMarshal.Cast<byte, ushort>(data).ToArray().Select(x => BitConverter.UInt32BitsToSingle((uint)x << 16)).ToArray();
        Values.AssertSame(wide, Read<float>("BF16", data, ScalarType.Float32));
        var table = Read<double>("F8_E4M3", AllBytes, ScalarType.Float64);
        Assert.Equal(data.Select(b => table[b]), Read<double>("F8_E4M3", data, ScalarType.Float64));
    }

    private static byte[] Bytes<T>(params T[] values) where T : unmanaged => MemoryMarshal.AsBytes(values.AsSpan()).ToArray();
}
