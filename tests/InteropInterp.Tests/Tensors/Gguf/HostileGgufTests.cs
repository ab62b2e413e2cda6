using InteropInterp.Tensors.Gguf;

namespace InteropInterp.Tests.Tensors.Gguf;

/// <summary>Files that lie: each gives one clear error, and nothing past the file is read.</summary>
public sealed class HostileGgufTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    private InterpException Refused(byte[] content)
    {
        var path = folder.File("hostile.gguf");
        File.WriteAllBytes(path, content);
        var error = Assert.Throws<InterpException>(() => GgufFile.Open(path));
        Assert.Contains("hostile.gguf", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(File.ReadLines("/proc/self/maps"), line => line.Contains(path, StringComparison.Ordinal));
        return error;
    }

    private void Says(string reason, GgufBuilder builder, params string[] parts) => Says(reason, builder.Build(), parts);

    private void Says(string reason, byte[] content, params string[] parts)
    {
        var error = Refused(content);
        Assert.Equal(reason, error.Reason);
        foreach (var part in parts) Assert.Contains(part, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_empty_file() => Says("GGUF_TRUNCATED", []);

    [Fact]
    public void Another_format() => Says("GGUF_MAGIC", "{\"a\":1}   "u8.ToArray());

    [Fact]
    public void A_file_for_big_endian_machines() =>
        Says("GGUF_VERSION_UNSUPPORTED", new GgufBuilder { Version = 0x03000000 }, "big-endian");

    [Theory]
    [InlineData(1u)]
    [InlineData(4u)]
    public void Another_version(uint version) =>
        Says("GGUF_VERSION_UNSUPPORTED", new GgufBuilder { Version = version }, $"{version}", "2 and 3");

    [Theory]
    [InlineData(1UL)]
    [InlineData(1UL << 40)]
    [InlineData(ulong.MaxValue)]
    public void More_tensors_than_the_file_has_room_for(ulong count) =>
        Says("GGUF_TRUNCATED", new GgufBuilder { StatedTensors = count }, "number of tensors");

    [Theory]
    [InlineData(1UL << 33)]
    [InlineData(ulong.MaxValue)]
    public void More_metadata_than_the_file_has_room_for(ulong count) =>
        Says("GGUF_TRUNCATED", new GgufBuilder { StatedPairs = count }, "number of metadata pairs");

    [Theory]
    [InlineData(1000UL)]
    [InlineData(ulong.MaxValue)]
    [InlineData(1UL << 63)]
    public void A_string_longer_than_the_file(ulong length) =>
        Says("GGUF_TRUNCATED", new GgufBuilder().Pair("k", 8, length, (byte)'a'), "'k'");

    [Theory]
    [InlineData(0u, ulong.MaxValue)]
    [InlineData(5u, 1UL << 62)]
    [InlineData(8u, 1UL << 31)]
    [InlineData(12u, 1000UL)]
    public void An_array_longer_than_the_file(uint type, ulong count) =>
        Says("GGUF_TRUNCATED", new GgufBuilder().Pair("k", 9, type, count), "'k'");

    [Fact]
    public void An_array_of_arrays() => Says("GGUF_INVALID", new GgufBuilder().Pair("k", 9, 9u, 1UL, 5u, 0UL), "'k'");

    [Fact]
    public void A_value_of_an_unknown_type() => Says("GGUF_INVALID", new GgufBuilder().Pair("k", 13, 1u), "'k'", "13");

    [Fact]
    public void A_flag_that_is_neither_true_nor_false() => Says("GGUF_INVALID", new GgufBuilder().Pair("k", 7, (byte)2), "'k'");

    [Fact]
    public void Text_that_is_not_utf8() => Says("GGUF_NOT_UTF8", new GgufBuilder().Pair("k", 8, 2UL, new byte[] { 0xff, 0xfe }), "'k'");

    [Fact]
    public void A_key_without_a_name() => Says("GGUF_INVALID", new GgufBuilder().Pair("", 7, true));

    [Fact]
    public void A_key_that_occurs_twice() => Says("GGUF_DUPLICATE_KEY", new GgufBuilder().Pair("k", 7, true).Pair("k", 7, true), "'k'");

    [Fact]
    public void A_tensor_that_occurs_twice() =>
        Says("GGUF_DUPLICATE_KEY", new GgufBuilder().Tensor("x", 0, [1], new byte[4]).Tensor("x", 0, [1], new byte[4]), "'x'");

    [Theory]
    [InlineData(0u)]
    [InlineData(33u)]
    [InlineData(0x80000001u)]
    public void An_alignment_that_is_no_power_of_two(uint alignment) =>
        Says("GGUF_INVALID", new GgufBuilder().Pair("general.alignment", 4, alignment), "general.alignment");

    [Fact]
    public void An_alignment_that_is_no_number() =>
        Says("GGUF_INVALID", new GgufBuilder().Pair("general.alignment", 8, "32"), "general.alignment");

    [Theory]
    [InlineData(12u, "Q4_K")]
    [InlineData(39u, "MXFP4")]
    [InlineData(4u, "code 4")]
    [InlineData(0xffffffffu, "code 4294967295")]
    public void A_type_that_is_not_read(uint code, string name)
    {
        var error = Refused(new GgufBuilder().Tensor("blk.0.w", code, [256], new byte[144]).Build());
        Assert.Equal(("GGUF_TYPE_UNSUPPORTED", ErrorCode.Unimplemented), (error.Reason, error.Code));
        foreach (var part in new[] { "'blk.0.w'", name, "Q4_1", "Q8_0", "BF16" })
            Assert.Contains(part, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Too_many_dimensions() =>
        Says("GGUF_INVALID", new GgufBuilder().Tensor("x", 0, [1, 1, 1, 1, 1], new byte[4]), "'x'", "5 dimensions");

    [Theory]
    [InlineData(1UL << 63)]
    [InlineData(ulong.MaxValue)]
    public void A_size_that_is_negative(ulong size) => Says("GGUF_INVALID", new GgufBuilder().Tensor("x", 0, [size], new byte[4]), "'x'");

    [Theory]
    [InlineData(1UL << 32, 1UL << 32)]
    [InlineData(long.MaxValue, 2UL)]
    public void A_shape_that_overflows(ulong a, ulong b) =>
        Says("GGUF_INVALID", new GgufBuilder().Tensor("x", 0, [a, b], new byte[4]), "'x'");

    [Theory]
    [InlineData(1UL << 61)]
    [InlineData(1000UL)]
    public void A_tensor_larger_than_the_file(ulong size) =>
        Says("GGUF_TRUNCATED", new GgufBuilder().Tensor("x", 0, [size], new byte[4]), "'x'");

    [Fact]
    public void Rows_that_are_not_whole_blocks() =>
        Says("GGUF_INVALID", new GgufBuilder().Tensor("x", 3, [16, 2], new byte[20]), "'x'", "Q4_1", "blocks of 32");

    [Theory]
    [InlineData(32UL)]
    [InlineData(1UL)]
    [InlineData(ulong.MaxValue)]
    [InlineData(1UL << 62)]
    public void An_offset_that_leaves_a_gap(ulong offset) =>
        Says("GGUF_OFFSETS_INVALID", new GgufBuilder().Tensor("x", 0, [1], new byte[4], offset), "'x'", "expected 0");

    [Fact]
    public void Tensors_that_overlap() =>
        Says("GGUF_OFFSETS_INVALID", new GgufBuilder().Tensor("x", 0, [16], new byte[64]).Tensor("y", 0, [1], new byte[4], 32),
            "'y'", "expected 64");

    [Fact]
    public void A_truncated_tensor()
    {
        var whole = new GgufBuilder().Tensor("x", 0, [16], new byte[64]).Build();
        Says("GGUF_TRUNCATED", whole[..^1], "'x'", "64 bytes", "63");
    }

    [Fact]
    public void A_file_that_ends_anywhere_in_its_header()
    {
        var whole = new GgufBuilder().Pair("tokens", 9, 8u, 2UL, "a", "b").Tensor("x", 0, [16], new byte[64]).Build();
        for (var length = 0; length < whole.Length; length++) Refused(whole[..length]);
    }
}
