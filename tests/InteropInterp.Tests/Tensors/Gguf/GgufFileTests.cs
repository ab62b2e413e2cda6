using System.Runtime.InteropServices;
using InteropInterp.Tensors;
using InteropInterp.Tensors.Gguf;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Tensors.Gguf;

public sealed class GgufFileTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    private GgufFile Open(GgufBuilder builder)
    {
        File.WriteAllBytes(folder.File("t.gguf"), builder.Build());
        return GgufFile.Open(folder.File("t.gguf"));
    }

    [Fact]
    public void Metadata_of_every_type_is_typed()
    {
        using var file = Open(new GgufBuilder()
            .Pair("u8", 0, (byte)200).Pair("i8", 1, (sbyte)-100).Pair("u16", 2, (ushort)60000).Pair("i16", 3, (short)-30000)
            .Pair("u32", 4, 4000000000u).Pair("i32", 5, -2000000000).Pair("f32", 6, 0.5f).Pair("bool", 7, true).Pair("string", 8, "héllo")
            .Pair("u64", 10, ulong.MaxValue).Pair("i64", 11, long.MinValue).Pair("f64", 12, 0.1)
            .Pair("a.u8", 9, 0u, 2UL, (byte)1, (byte)255).Pair("a.i32", 9, 5u, 2UL, -1, 2).Pair("a.f32", 9, 6u, 1UL, 1.5f)
            .Pair("a.bool", 9, 7u, 2UL, true, false)
            .Pair("a.string", 9, 8u, 3UL, "", "a", "é").Pair("a.u64", 9, 10u, 1UL, ulong.MaxValue).Pair("a.empty", 9, 8u, 0UL));
        Assert.Equal([200L, -100L, 60000L, -30000L, 4000000000L, -2000000000L, long.MinValue],
            new[] { "u8", "i8", "u16", "i16", "u32", "i32", "i64" }.Select(file.Value<long>));
        Assert.Equal(ulong.MaxValue, file.Value<ulong>("u64"));
        Assert.Equal([0.5, 0.1], new[] { "f32", "f64" }.Select(file.Value<double>));
        Assert.True(file.Value<bool>("bool"));
        Assert.Equal("héllo", file.Value<string>("string"));
        Assert.Equal(new Dictionary<string, string> { ["string"] = "héllo" }, file.Metadata);
        Assert.Equal([1, 255], file.Value<byte[]>("a.u8"));
        Assert.Equal([-1, 2], file.Value<int[]>("a.i32"));
        Assert.Equal([1.5f], file.Value<float[]>("a.f32"));
        Assert.Equal([true, false], file.Value<bool[]>("a.bool"));
        Assert.Equal(["", "a", "é"], file.Value<string[]>("a.string"));
        Assert.Equal([ulong.MaxValue], file.Value<ulong[]>("a.u64"));
        Assert.Empty(file.Value<string[]>("a.empty"));
        Assert.Equal(3, file.Version);
    }

    [Fact]
    public void A_missing_or_differently_typed_value_is_an_error_that_says_so()
    {
        using var file = Open(new GgufBuilder().Pair("llama.block_count", 4, 30u));
        var missing = Assert.Throws<InterpException>(() => file.Value<long>("llama.block_cout"));
        Assert.Equal(("UNKNOWN_METADATA", "llama.block_count"), (missing.Reason, missing.Suggestions[0]));
        var wrong = Assert.Throws<InterpException>(() => file.Value<string>("llama.block_count"));
        Assert.Equal("METADATA_TYPE", wrong.Reason);
        Assert.Contains("Int64", wrong.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(8)]
    [InlineData(32)]
    [InlineData(256)]
    public void Tensors_lie_where_the_alignment_puts_them_and_shapes_are_turned_round(int alignment)
    {
        var values = Enumerable.Range(0, 6).Select(i => i - 2.5f).ToArray();
        var halves = MemoryMarshal.AsBytes<Half>([(Half)1.5f, (Half)(-2)]).ToArray();
        using var file = Open(new GgufBuilder { Alignment = alignment }.Pair("general.alignment", 4, (uint)alignment)
            .Tensor("a", 0, [3, 2], MemoryMarshal.AsBytes(values.AsSpan()).ToArray()).Tensor("b", 1, [2], halves)
            .Tensor("c", 26, [], [5, 0, 0, 0]));
        Assert.All(file.Entries.Values, entry => Assert.Equal(0, entry.Offset % alignment));
        using var scope = NewDisposeScope();
        Assert.Equal([2, 3], file.Read("a").shape);
        Assert.Equal(values, Values.Of<float>(file.Read("a")));
        Assert.Equal(ScalarType.Float16, file.Read("b").dtype);
        Assert.Equal([1.5, -2], Values.Of<double>(file.Read("b", ScalarType.Float64)));
        Assert.Equal([5], Values.Of<int>(file.Read("c")));
        Assert.Empty(file.Entries["c"].Shape);
    }

    [Theory]
    [InlineData(0u, "F32")]
    [InlineData(1u, "F16")]
    [InlineData(24u, "I8")]
    [InlineData(25u, "I16")]
    [InlineData(26u, "I32")]
    [InlineData(27u, "I64")]
    [InlineData(28u, "F64")]
    [InlineData(30u, "BF16")]
    public void Plain_types_keep_their_type(uint code, string type)
    {
        using var file = Open(new GgufBuilder().Tensor("x", code, [2], new byte[2 * Enum.Parse<StorageType>(type).Bits() / 8]));
        Assert.Equal(type, file.Entries["x"].Format);
        using var tensor = file.Read("x");
        Assert.Equal(Enum.Parse<StorageType>(type).Torch(), tensor.dtype);
    }

    [Fact]
    public void A_quantised_tensor_is_numbers_or_bytes()
    {
        var block = new byte[34];
        BitConverter.GetBytes((Half)0.5f).CopyTo(block, 0);
        block[2] = 3;
        using var file = Open(new GgufBuilder().Tensor("x", 8, [32], block));
        using var scope = NewDisposeScope();
        Assert.Equal(1.5f, Values.Of<float>(file.Read("x", ScalarType.Float32))[0]);
        Assert.Equal(1.5, Values.Of<double>(file.Read("x", ScalarType.Float64))[0]);
        Assert.Equal(block, Values.Of<byte>(file.ReadBytes("x")));
        var error = Assert.Throws<InterpException>(() => file.Read("x"));
        Assert.Equal("DTYPE_NOT_IN_TORCH", error.Reason);
        Assert.Contains("Q8_0", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_vocabulary_without_tensors_may_end_with_its_header()
    {
        using var file = GgufFile.Open(Written([.. "GGUF"u8, 3, 0, 0, 0, .. new byte[16]]));
        Assert.Empty(file.Entries);
    }

    private string Written(byte[] content)
    {
        File.WriteAllBytes(folder.File("raw.gguf"), content);
        return folder.File("raw.gguf");
    }
}
