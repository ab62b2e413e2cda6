using System.Text;
using InteropInterp.Tensors;

namespace InteropInterp.Tests.Tensors;

/// <summary>Files that lie: each gives one clear error, and nothing past the file is read.</summary>
public sealed class HostileSafeTensorsTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    private InterpException Refused(byte[] content)
    {
        var path = folder.File("hostile.safetensors");
        File.WriteAllBytes(path, content);
        var error = Assert.Throws<InterpException>(() => SafeTensorsFile.Open(path));
        Assert.Equal(ErrorCode.DataLoss, error.Code);
        Assert.Contains("hostile.safetensors", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(File.ReadLines("/proc/self/maps"), line => line.Contains(path, StringComparison.Ordinal));
        return error;
    }

    private InterpException Refused(string header, int dataBytes = 8, ulong? statedLength = null) =>
        Refused(LiteralSafeTensors.File(header, new byte[dataBytes], statedLength));

    private static void Says(string reason, InterpException error, params string[] parts)
    {
        Assert.Equal(reason, error.Reason);
        foreach (var part in parts) Assert.Contains(part, error.Message, StringComparison.Ordinal);
    }

    private static string Tensor(string shape, string offsets, string type = "F32", string name = "x") =>
        LiteralSafeTensors.Header(type, shape, offsets, name);

    private static string Two(string name, string type, string shape, string offsets, string name2, string shape2, string offsets2) =>
        LiteralSafeTensors.Entries(
            LiteralSafeTensors.Entry(name, type, shape, offsets), LiteralSafeTensors.Entry(name2, type, shape2, offsets2));

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(7)]
    public void A_file_shorter_than_the_length_field(int length) =>
        Says("SAFETENSORS_TOO_SHORT", Refused(new byte[length]), $"{length} bytes");

    [Fact]
    public void A_header_longer_than_the_limit() =>
        Says("SAFETENSORS_HEADER_TOO_LONG", Refused(Tensor("[2]", "[0,8]"), statedLength: 100_000_001), "100,000,001", "100,000,000");

    [Theory]
    [InlineData(ulong.MaxValue)]
    [InlineData(ulong.MaxValue - 7)]
    [InlineData(1UL << 63)]
    public void A_header_length_that_overflows(ulong stated) =>
        Says("SAFETENSORS_HEADER_TOO_LONG", Refused(Tensor("[2]", "[0,8]"), statedLength: stated));

    [Fact]
    public void A_header_longer_than_the_file()
    {
        var header = Tensor("[2]", "[0,8]");
        var error = Refused(header, statedLength: (ulong)header.Length + 9);
        Says("SAFETENSORS_HEADER_TOO_LONG", error, $"{header.Length + 9}", $"{header.Length + 8}");
    }

    [Fact]
    public void A_header_of_no_bytes() => Says("SAFETENSORS_HEADER_INVALID", Refused("", 0));

    [Fact]
    public void A_header_that_is_not_utf8() =>
        Says("SAFETENSORS_HEADER_INVALID", Refused(LiteralSafeTensors.File([.. "{\""u8, 0xff, 0xfe, .. "\":{}}"u8], [])), "UTF-8");

    [Fact]
    public void An_overlong_utf8_encoding() =>
        Says("SAFETENSORS_HEADER_INVALID", Refused(LiteralSafeTensors.File([.. "{\""u8, 0xc0, 0x80, .. "\":{}}"u8], [])), "UTF-8");

    [Fact]
    public void A_name_with_half_a_surrogate_pair() => Says("SAFETENSORS_HEADER_INVALID", Refused(Tensor("[2]", "[0,8]", name: "\\ud800")));

    [Theory]
    [InlineData("[]")]
    [InlineData(" {}")]
    [InlineData("null")]
    [InlineData("\ufeff{}")]
    public void A_header_that_does_not_begin_as_an_object(string header) => Says("SAFETENSORS_HEADER_INVALID", Refused(header, 0), "'{'");

    [Theory]
    [InlineData("{")]
    [InlineData("{}{}")]
    [InlineData("{} x")]
    [InlineData("{}\0\0")]
    [InlineData("{\"x\":}")]
    [InlineData("{\"x\":{},}")]
    [InlineData("{/**/}")]
    [InlineData("{'x':{}}")]
    public void A_header_that_is_not_json(string header) => Says("SAFETENSORS_HEADER_INVALID", Refused(header, 0));

    [Theory]
    [InlineData("""{"x":[1]}""")]
    [InlineData("""{"x":"F32"}""")]
    [InlineData("""{"x":null}""")]
    [InlineData("""{"x":{}}""")]
    [InlineData("""{"x":{"dtype":"F32","shape":[2]}}""")]
    [InlineData("""{"x":{"dtype":"F32","data_offsets":[0,8]}}""")]
    [InlineData("""{"x":{"shape":[2],"data_offsets":[0,8]}}""")]
    [InlineData("""{"x":{"dtype":32,"shape":[2],"data_offsets":[0,8]}}""")]
    [InlineData("""{"x":{"dtype":"F32","shape":2,"data_offsets":[0,8]}}""")]
    [InlineData("""{"x":{"dtype":"F32","shape":["2"],"data_offsets":[0,8]}}""")]
    [InlineData("""{"x":{"dtype":"F32","shape":[[2]],"data_offsets":[0,8]}}""")]
    [InlineData("""{"x":{"dtype":"F32","shape":[2],"data_offsets":[0]}}""")]
    [InlineData("""{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4,8]}}""")]
    [InlineData("""{"x":{"dtype":"F32","shape":[2],"data_offsets":{}}}""")]
    public void A_tensor_that_is_not_described_as_it_must_be(string header) => Says("SAFETENSORS_HEADER_INVALID", Refused(header), "'x'");

    [Theory]
    [InlineData("[-2]")]
    [InlineData("[2.0]")]
    [InlineData("[2e0]")]
    [InlineData("[-0]")]
    [InlineData("[9223372036854775808]")]
    [InlineData("[18446744073709551616]")]
    [InlineData("[1e999]")]
    public void A_size_that_is_no_whole_number(string shape) =>
        Says("SAFETENSORS_HEADER_INVALID", Refused(Tensor(shape, "[0,8]")), "shape", "'x'");

    [Fact]
    public void Json_deeper_than_any_header() =>
        Says("SAFETENSORS_HEADER_INVALID", Refused("{\"x\":{\"y\":" + new string('[', 100_000) + new string(']', 100_000) + "}}"));

    [Theory]
    [InlineData("f32")]
    [InlineData("F32 ")]
    [InlineData("Quantized")]
    [InlineData("17")]
    [InlineData("")]
    public void An_unknown_dtype(string type) =>
        Says("SAFETENSORS_UNKNOWN_DTYPE", Refused(Tensor("[2]", "[0,8]", type)), $"'{type}'", "BF16");

    [Fact]
    public void A_tensor_that_occurs_twice() =>
        Says("SAFETENSORS_DUPLICATE_KEY", Refused(Two("x", "F32", "[1]", "[0,4]", "x", "[1]", "[4,8]")), "'x'");

    [Fact]
    public void A_tensor_that_occurs_twice_in_two_spellings() =>
        Says("SAFETENSORS_DUPLICATE_KEY", Refused(Two("x", "F32", "[1]", "[0,4]", "\\u0078", "[1]", "[4,8]")), "'x'");

    [Theory]
    [InlineData("""{"x":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}""")]
    [InlineData("""{"x":{"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]}}""")]
    [InlineData("""{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"data_offsets":[0,8]}}""")]
    [InlineData("""{"__metadata__":{"a":"1","a":"2"}}""")]
    [InlineData("""{"__metadata__":{},"__metadata__":{}}""")]
    public void Any_other_key_that_occurs_twice(string header) => Says("SAFETENSORS_DUPLICATE_KEY", Refused(header));

    [Theory]
    [InlineData("""{"__metadata__":{"a":1}}""")]
    [InlineData("""{"__metadata__":{"a":null}}""")]
    [InlineData("""{"__metadata__":[]}""")]
    [InlineData("""{"__metadata__":"a"}""")]
    public void Metadata_that_is_not_text(string header) => Says("SAFETENSORS_HEADER_INVALID", Refused(header, 0), "__metadata__");

    [Theory]
    [InlineData("[0,16]")]
    [InlineData("[8,16]")]
    [InlineData("[0,9223372036854775807]")]
    [InlineData("[9223372036854775799,9223372036854775807]")]
    [InlineData("[8,0]")]
    public void Offsets_outside_the_data(string offsets) =>
        Says("SAFETENSORS_OFFSETS_INVALID", Refused(Tensor("[2]", offsets)), "'x'", "F32 [2]");

    [Theory]
    [InlineData("[3]", "F32")]
    [InlineData("[1]", "F32")]
    [InlineData("[2]", "F64")]
    [InlineData("[2]", "F16")]
    [InlineData("[0]", "F32")]
    [InlineData("[]", "F32")]
    [InlineData("[15]", "F4")]
    [InlineData("[2]", "F6_E2M3")]
    public void A_shape_and_dtype_of_another_size_than_the_offsets(string shape, string type) =>
        Says("SAFETENSORS_SIZE_MISMATCH", Refused(Tensor(shape, "[0,8]", type)), "'x'", $"{type} {shape}");

    [Theory]
    [InlineData("[4294967296,4294967296]")]
    [InlineData("[9223372036854775807,2]")]
    [InlineData("[2305843009213693952]")]
    [InlineData("[0,9223372036854775807,9223372036854775807]")]
    [InlineData("[3037000500,3037000500,0]")]
    public void A_shape_whose_size_overflows(string shape) => Says("SAFETENSORS_SIZE_MISMATCH", Refused(Tensor(shape, "[0,0]"), 0), "'x'");

    [Fact]
    public void A_shape_of_too_many_dimensions() =>
        Says("SAFETENSORS_SIZE_MISMATCH", Refused(Tensor($"[{string.Join(',', Enumerable.Repeat(1, 100_000))}]", "[0,4]"), 4),
            "100000 dimensions");

    [Fact]
    public void A_gap_between_tensors() => Says("SAFETENSORS_OFFSETS_INVALID",
        Refused(Two("x", "I8", "[2]", "[0,2]", "y", "[5]", "[3,8]")), "'y'", "gap");

    [Fact]
    public void A_gap_before_the_first_tensor() => Says("SAFETENSORS_OFFSETS_INVALID", Refused(Tensor("[7]", "[1,8]", "I8")), "'x'", "gap");

    [Fact]
    public void Tensors_that_overlap() => Says("SAFETENSORS_OFFSETS_INVALID",
        Refused(Two("x", "I8", "[5]", "[0,5]", "y", "[4]", "[4,8]")), "'y'", "overlap");

    [Fact]
    public void Two_tensors_in_the_same_place() => Says("SAFETENSORS_OFFSETS_INVALID",
        Refused(Two("x", "I8", "[8]", "[0,8]", "y", "[8]", "[0,8]")), "overlap");

    [Fact]
    public void An_empty_tensor_inside_another() => Says("SAFETENSORS_OFFSETS_INVALID",
        Refused(Two("x", "I8", "[8]", "[0,8]", "y", "[0]", "[4,4]")), "'y'");

    [Fact]
    public void Bytes_after_the_last_tensor() => Says("SAFETENSORS_OFFSETS_INVALID", Refused(Tensor("[2]", "[0,8]"), 9), "1 bytes follow");

    [Fact]
    public void Data_without_any_tensor() => Says("SAFETENSORS_OFFSETS_INVALID", Refused("{}"), "8 bytes follow");

    [Fact]
    public void A_truncated_file() => Says("SAFETENSORS_OFFSETS_INVALID", Refused(Tensor("[2]", "[0,8]"), 7), "'x'", "[0, 8]", "7 bytes");

    [Fact]
    public void A_monstrous_name_is_cut_and_made_visible()
    {
        var error = Refused(Tensor("[3]", "[0,8]", name: "a\\u0007\\n" + new string('b', 10_000)));
        Says("SAFETENSORS_SIZE_MISMATCH", error, "'a\\u0007\\u000abbb", "…'");
        Assert.InRange(error.Message.Length, 1, 500);
    }

    [Fact]
    public void A_monstrous_literal_is_cut_too() =>
        Assert.InRange(Refused("{\"x\":t" + new string('b', 10_000) + "}").Message.Length, 1, 500);

    [Fact]
    public void What_is_odd_but_legal_is_read()
    {
        var path = folder.File("odd.safetensors");
        File.WriteAllBytes(path, LiteralSafeTensors.File(
            """{"":{"shape":[1,2],"extra":[{}],"data_offsets":[0,8],"dtype":"F32"},"__metadata__":null}""" + " \n\t ", new byte[8]));
        using var file = SafeTensorsFile.Open(path);
        Assert.Equal([1, 2], file.Entries[""].Shape);
        Assert.Empty(file.Metadata);
        File.WriteAllBytes(path, LiteralSafeTensors.File("{}", []));
        using var empty = SafeTensorsFile.Open(path);
        Assert.Empty(empty.Entries);
    }
}
