using System.Runtime.InteropServices;
using InteropInterp.Tensors;
using static InteropInterp.Tests.Tensors.LiteralSafeTensors;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Tensors;

public sealed class SafeTensorsFileTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    private SafeTensorsFile Open(string header, byte[] data)
    {
        var path = folder.File("t.safetensors");
        System.IO.File.WriteAllBytes(path, File(header, data));
        return SafeTensorsFile.Open(path);
    }

    private SafeTensorsFile One(string type, long[] shape, byte[] data, string padding = "") =>
        Open(Header(type, $"[{string.Join(',', shape)}]", $"[0,{data.Length}]") + padding, data);

    // The padding that puts the data at a multiple of eight, plus `off`.
    private SafeTensorsFile OneAt(int off, string type, long[] shape, byte[] data)
    {
        for (var spaces = 0; ; spaces++)
        {
            var file = One(type, shape, data, new string(' ', spaces));
            if (file.Entries["x"].Offset % 8 == off) return file;
            file.Dispose();
        }
    }

    private static byte[] Bytes<T>(params T[] values) where T : unmanaged => MemoryMarshal.AsBytes(values.AsSpan()).ToArray();

    [Fact]
    public void Tensors_are_read_with_name_shape_type_and_values()
    {
        using var file = Open(
            Entries("\"__metadata__\":{\"format\":\"pt\"}", Entry("b", "I64", "[2]", "[24,40]"), Entry("a", "F32", "[2,3]", "[0,24]")),
            [.. Bytes(1f, 2, 3, 4, 5, 6), .. Bytes(7L, -8L)]);
        Assert.Equal("pt", file.Metadata["format"]);
        Assert.Equal(["a", "b"], file.Entries.Keys);
        var entry = file.Entries["a"];
        Assert.Equal((StorageType.F32, 24, 6), (entry.Type, entry.Length, entry.Count));
        using var scope = NewDisposeScope();
        var a = file.Read("a");
        Assert.Equal([2, 3], a.shape);
        Assert.Equal([1f, 2, 3, 4, 5, 6], Values.Of<float>(a));
        Assert.Equal([7L, -8L], Values.Of<long>(file.Read("b")));
    }

    [Theory]
    [InlineData("BOOL", ScalarType.Bool, 1)]
    [InlineData("U8", ScalarType.Byte, 1)]
    [InlineData("I8", ScalarType.Int8, 1)]
    [InlineData("I16", ScalarType.Int16, 2)]
    [InlineData("I32", ScalarType.Int32, 4)]
    [InlineData("I64", ScalarType.Int64, 8)]
    [InlineData("F16", ScalarType.Float16, 2)]
    [InlineData("BF16", ScalarType.BFloat16, 2)]
    [InlineData("F32", ScalarType.Float32, 4)]
    [InlineData("F64", ScalarType.Float64, 8)]
    [InlineData("C64", ScalarType.ComplexFloat32, 8)]
    public void Types_that_torch_has_are_read_in_place(string type, ScalarType dtype, int size)
    {
        var bytes = Enumerable.Range(0, 6 * size).Select(i => (byte)(type == "BOOL" ? i % 2 : i * 37)).ToArray();
        using var file = OneAt(0, type, [2, 3], bytes);
        using var scope = NewDisposeScope();
        var first = file.Read("x");
        Assert.Equal(dtype, first.dtype);
        Assert.Equal([2, 3], first.shape);
        Assert.Equal(bytes, first.bytes.ToArray());
        // The same memory: a write through one is seen through the other.
        first.zero_();
        Assert.All(file.Read("x").bytes.ToArray(), b => Assert.Equal(0, b));
        Assert.Equal(bytes, LiteralSafeTensors.Parse(System.IO.File.ReadAllBytes(file.Path)).Tensors[0].Bytes);
    }

    [Theory]
    [InlineData("U16", 2)]
    [InlineData("U32", 4)]
    [InlineData("U64", 8)]
    [InlineData("F8_E4M3", 1)]
    [InlineData("F8_E5M2", 1)]
    [InlineData("F8_E8M0", 1)]
    [InlineData("F8_E4M3FNUZ", 1)]
    [InlineData("F8_E5M2FNUZ", 1)]
    public void Types_that_torch_lacks_are_read_as_bytes_or_as_numbers(string type, int size)
    {
        var bytes = Enumerable.Range(0, 4 * size).Select(i => (byte)(i * 11)).ToArray();
        using var file = One(type, [4], bytes);
        using var scope = NewDisposeScope();
        Assert.Equal(bytes, Values.Of<byte>(file.ReadBytes("x")));
        Assert.Equal([4], file.Read("x", ScalarType.Float32).shape);
        var error = Assert.Throws<InterpException>(() => file.Read("x"));
        Assert.Equal("DTYPE_NOT_IN_TORCH", error.Reason);
        Assert.Contains(type, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("F4", 4)]
    [InlineData("F6_E2M3", 6)]
    [InlineData("F6_E3M2", 6)]
    public void Types_whose_packing_nobody_documents_are_bytes_only(string type, int bits)
    {
        var bytes = Enumerable.Range(1, bits).Select(i => (byte)i).ToArray();
        using var file = One(type, [2, 4], bytes);
        using var scope = NewDisposeScope();
        Assert.Equal(bytes, Values.Of<byte>(file.ReadBytes("x")));
        Assert.Equal("DTYPE_NOT_READABLE", Assert.Throws<InterpException>(() => file.Read("x", ScalarType.Float32)).Reason);
    }

    [Fact]
    public void Scalars_and_empty_tensors_are_legal()
    {
        using var file = Open(
            Entries(Entry("s", "F64", "[]", "[0,8]"), Entry("e", "F32", "[3,0,2]", "[8,8]"), Entry("f", "I8", "[0]", "[0,0]")),
            Bytes(2.5));
        using var scope = NewDisposeScope();
        Assert.Empty(file.Read("s").shape);
        Assert.Equal([2.5], Values.Of<double>(file.Read("s")));
        Assert.Equal([2.5f], Values.Of<float>(file.Read("s", ScalarType.Float32)));
        Assert.Equal([3, 0, 2], file.Read("e").shape);
        Assert.Equal([3, 0, 2], file.Read("e", ScalarType.Float64).shape);
        Assert.Equal(ScalarType.Int8, file.Read("f").dtype);
        Assert.Equal([0], file.ReadBytes("f").shape);
    }

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float64)]
    public void Unaligned_data_is_copied_and_right(ScalarType wanted)
    {
        for (var off = 1; off < 8; off += 2)
        {
            using var file = OneAt(off, "F32", [3], Bytes(1.5f, -2f, float.Epsilon));
            using var scope = NewDisposeScope();
            var read = file.Read("x", wanted);
            Assert.Equal([1.5, -2, float.Epsilon], Values.Of<double>(read.to(ScalarType.Float64)));
            read.zero_();
            Assert.Equal(1.5f, Values.Of<float>(file.Read("x"))[0]);
        }
    }

    [Fact]
    public void Unaligned_data_of_many_chunks_is_copied_whole()
    {
        var values = Enumerable.Range(0, 1_300_001).Select(i => i * 0.5f).ToArray();
        using var file = OneAt(3, "F32", [values.Length], Bytes(values));
        using var scope = NewDisposeScope();
        Values.AssertSame(values, Values.Of<float>(file.Read("x")));
        Assert.Equal(values.Select(x => (double)x), Values.Of<double>(file.Read("x", ScalarType.Float64)));
    }

    [Fact]
    public void A_tensor_of_the_wanted_type_is_not_copied_and_any_other_is()
    {
        using var file = Open(
            Entries(Entry("a", "F32", "[1]", "[0,4]"), Entry("b", "BF16", "[2]", "[4,8]")) + "    ",
            [.. Bytes(1f), .. Bytes((ushort)0x3f80, (ushort)0x4000)]);
        Assert.Equal(0, file.Entries["a"].Offset % 4);
        using var scope = NewDisposeScope();
        file.Read("a", ScalarType.Float32).zero_();
        file.Read("b", ScalarType.Float32).zero_();
        Assert.Equal([0f], Values.Of<float>(file.Read("a")));
        Assert.Equal([1f, 2f], Values.Of<float>(file.Read("b", ScalarType.Float32)));
    }

    [Fact]
    public void What_was_written_through_a_view_survives_a_conversion_of_the_same_tensor()
    {
        // Several pages, so that there are pages to give back.
        using var file = OneAt(0, "F32", [20000], Bytes(Enumerable.Repeat(3f, 20000).ToArray()));
        using var scope = NewDisposeScope();
        var view = file.Read("x");
        view.zero_();
        Assert.All(Values.Of<double>(file.Read("x", ScalarType.Float64)), x => Assert.Equal(0, x));
        Assert.All(Values.Of<float>(view), x => Assert.Equal(0, x));
    }

    [Fact]
    public void An_unknown_name_offers_the_nearest()
    {
        using var file = Open(Entries(Entry("blocks.0.W_Q", "F32", "[1]", "[0,4]")), new byte[4]);
        Func<string, Tensor>[] readings = [file.Read, name => file.Read(name, ScalarType.Float32), file.ReadBytes];
        foreach (var read in readings)
        {
            var error = Assert.Throws<InterpException>(() => read("blocks.0.W_K"));
            Assert.Equal("UNKNOWN_TENSOR", error.Reason);
            Assert.Equal(["blocks.0.W_Q"], error.Suggestions);
        }
    }

    [Theory]
    [InlineData("C64", ScalarType.Float32)]
    [InlineData("F32", ScalarType.Int64)]
    [InlineData("I64", ScalarType.Int32)]
    public void Readings_that_lose_more_than_rounding_are_refused(string type, ScalarType wanted)
    {
        using var file = One(type, [2], new byte[type == "F32" ? 8 : 16]);
        Assert.Equal("DTYPE_NOT_READABLE", Assert.Throws<InterpException>(() => file.Read("x", wanted)).Reason);
    }

    [Fact]
    public void A_bool_that_is_neither_true_nor_false_is_refused()
    {
        using var file = One("BOOL", [3], [0, 1, 2]);
        Assert.Equal("BOOL_INVALID", Assert.Throws<InterpException>(() => file.Read("x")).Reason);
        Assert.Equal("BOOL_INVALID", Assert.Throws<InterpException>(() => file.Read("x", ScalarType.Float32)).Reason);
    }

    [Fact]
    public void A_closed_source_says_so()
    {
        var file = One("F32", [1], new byte[4]);
        file.Dispose();
        file.Dispose();
        Assert.Equal("FILE_CLOSED", Assert.Throws<InterpException>(() => file.Read("x")).Reason);
        Assert.Equal("FILE_CLOSED", Assert.Throws<InterpException>(() => file.Read("x", ScalarType.Float64)).Reason);
    }

    [Fact]
    public void A_missing_file_is_named()
    {
        var error = Assert.Throws<InterpException>(() => SafeTensorsFile.Open(folder.File("none.safetensors")));
        Assert.Equal("FILE_NOT_FOUND", error.Reason);
        Assert.Contains("none.safetensors", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("gpt2")]
    [InlineData("gemma2")]
    public void A_checkpoint_of_the_hub_is_what_the_literal_parser_finds(string family)
    {
        var path = SharedFolder.Path("fixtures", "families", family, "model.safetensors");
        var (expected, metadata) = LiteralSafeTensors.Parse(System.IO.File.ReadAllBytes(path));
        using var file = SafeTensorsFile.Open(path);
        Assert.Equal(metadata, file.Metadata);
        Assert.Equal(expected.Select(t => t.Name).Order(StringComparer.Ordinal), file.Entries.Keys.Order(StringComparer.Ordinal));
        using var scope = NewDisposeScope();
        foreach (var tensor in expected)
        {
            Assert.Equal(tensor.Type, file.Entries[tensor.Name].Format);
            Assert.Equal(tensor.Shape, file.Read(tensor.Name).shape);
            Assert.Equal(tensor.Bytes, Values.Of<byte>(file.ReadBytes(tensor.Name)));
        }
    }
}
