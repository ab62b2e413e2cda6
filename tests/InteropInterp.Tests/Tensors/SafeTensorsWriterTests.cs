using System.Text;
using InteropInterp.Native.Operators;
using InteropInterp.Tensors;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Tensors;

public sealed class SafeTensorsWriterTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly string path;

    public SafeTensorsWriterTests() => path = folder.File("out.safetensors");

    public void Dispose() => folder.Dispose();

    private static TensorDeclaration Declare(string name, StorageType type, params long[] shape) => new(name, type, shape);

    private SafeTensorsWriter Create(params TensorDeclaration[] tensors) => SafeTensorsWriter.Create(path, tensors);

    private string[] Left() => Directory.GetFileSystemEntries(folder.Path).Select(p => Path.GetFileName(p)!).ToArray();

    [Fact]
    public void The_header_is_the_reference_implementations_byte_for_byte()
    {
        using (var writer = SafeTensorsWriter.Create(path,
            [
                Declare("b", StorageType.F16, 2), Declare("é\n\"\\/\u0001\u007f\U0001F600<>&'+", StorageType.F32, 1),
                Declare("A", StorageType.F32), Declare("c", StorageType.U8, 3), Declare("b_", StorageType.F32, 0, 3),
                Declare("z", StorageType.I64, 1), Declare("\U0001F600", StorageType.F32, 0), Declare("\uffff", StorageType.F32, 0),
            ],
            new Dictionary<string, string> { ["k"] = "v\t\v\b\f\r\u2028" }))
        {
            foreach (var entry in writer.Entries.Values) writer.WriteBytes(entry.Name, new byte[entry.Length]);
            writer.Commit();
        }
        // As safetensors 0.8 (Rust) writes it: sorted by type, then by the bytes of the name, where U+FFFF comes before U+1F600.
        const string expected = "{\"__metadata__\":{\"k\":\"v\\t\\u000b\\b\\f\\r\u2028\"},"
            + "\"z\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]},"
            + "\"A\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[8,12]},"
            + "\"b_\":{\"dtype\":\"F32\",\"shape\":[0,3],\"data_offsets\":[12,12]},"
            + "\"é\\n\\\"\\\\/\\u0001\u007f\U0001F600<>&'+\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[12,16]},"
            + "\"\uffff\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[16,16]},"
            + "\"\U0001F600\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[16,16]},"
            + "\"b\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[16,20]},"
            + "\"c\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[20,23]}}";
        var header = LiteralSafeTensors.HeaderOf(File.ReadAllBytes(path));
        Assert.Equal(expected, header.TrimEnd(' '));
        Assert.Equal((Encoding.UTF8.GetByteCount(expected) + 7) / 8 * 8, Encoding.UTF8.GetByteCount(header));
    }

    [Fact]
    public void The_published_examples_come_out_as_published()
    {
        // The byte vectors of the reference implementation's own tests (safetensors/src/tensor.rs).
        SafeTensors.Save(path, []);
        Assert.Equal([8, 0, 0, 0, 0, 0, 0, 0, 123, 125, 32, 32, 32, 32, 32, 32], File.ReadAllBytes(path));
        using var scope = NewDisposeScope();
        SafeTensors.Save(path, [new("attn0", Ops.Range(6).to(ScalarType.Float32).reshape(1, 1, 2, 3))]);
        Assert.Equal(
            [
                72, 0, 0, 0, 0, 0, 0, 0, .. "{\"attn0\":{\"dtype\":\"F32\",\"shape\":[1,1,2,3],\"data_offsets\":[0,24]}}       "u8,
                0, 0, 0, 0, 0, 0, 128, 63, 0, 0, 0, 64, 0, 0, 64, 64, 0, 0, 128, 64, 0, 0, 160, 64,
            ],
            File.ReadAllBytes(path));
    }

    [Theory]
    [InlineData("gpt2")]
    [InlineData("llama")]
    [InlineData("bloom")]
    public void Checkpoints_of_the_reference_implementation_come_out_byte_for_byte(string family)
    {
        foreach (var original in Directory.GetFiles(SharedFolder.Path("fixtures", "families", family), "*.safetensors"))
        {
            using (NewDisposeScope())
            using (var source = SafeTensorsFile.Open(original))
            {
                var tensors = source.Entries.Keys.Reverse().Select(name => KeyValuePair.Create(name, source.Read(name)));
                SafeTensors.Save(path, tensors, source.Metadata.Count > 0 ? source.Metadata : null);
            }
            Assert.True(File.ReadAllBytes(original).AsSpan().SequenceEqual(File.ReadAllBytes(path)), original);
        }
    }

    [Fact]
    public void The_order_of_types_is_the_reference_implementations()
    {
        string[] expected =
        [
            "U64", "I64", "F64", "C64", "F32", "U32", "I32", "BF16", "F16", "U16", "I16", "F8_E5M2FNUZ", "F8_E4M3FNUZ", "F8_E8M0",
            "F8_E4M3", "F8_E5M2", "I8", "U8", "F6_E3M2", "F6_E2M3", "F4", "BOOL",
        ];
        using var writer = Create(StorageTypes.Names.Select(name => Declare($"t_{name}", Enum.Parse<StorageType>(name), 8)).ToArray());
        Assert.Equal(expected, writer.Entries.Values.Select(e => e.Format));
    }

    [Fact]
    public void Every_type_makes_the_round_trip_and_rewriting_gives_the_same_bytes()
    {
        var data = StorageTypes.Names.ToDictionary(name => name, name => Enumerable.Range(0, 24 * Enum.Parse<StorageType>(name).Bits() / 8)
            .Select(i => (byte)(name == "BOOL" ? i % 3 / 2 : i * 89 + name.Length)).ToArray());
        using (var writer = Create(data.Keys.Select(name => Declare(name, Enum.Parse<StorageType>(name), 2, 3, 4)).ToArray()))
        {
            // Any order, and in pieces.
            foreach (var (name, bytes) in data.OrderBy(pair => pair.Key, StringComparer.Ordinal))
            {
                writer.WriteBytes(name, bytes.AsSpan(..5));
                writer.WriteBytes(name, bytes.AsSpan(5..));
            }
            writer.Commit();
        }
        var content = File.ReadAllBytes(path);
        foreach (var tensor in LiteralSafeTensors.Parse(content).Tensors)
        {
            Assert.Equal(tensor.Name, tensor.Type);
            Assert.Equal([2, 3, 4], tensor.Shape);
            Assert.Equal(data[tensor.Name], tensor.Bytes);
        }

        using (var source = SafeTensorsFile.Open(path))
        using (NewDisposeScope())
        {
            using var writer = Create(source.Entries.Values.Select(e => new TensorDeclaration(e.Name, e.Type, e.Shape)).ToArray());
            foreach (var entry in source.Entries.Values)
                writer.Write(entry.Name, entry.Type.Torch() is null ? source.ReadBytes(entry.Name) : source.Read(entry.Name));
            writer.Commit();
        }
        Assert.Equal(content, File.ReadAllBytes(path));
    }

    [Fact]
    public void Tensors_of_any_strides_are_written_in_row_major_order()
    {
        using var scope = NewDisposeScope();
        var x = Ops.Range(2 * 3 * 4 * 5).to(ScalarType.Float32).reshape(2, 3, 4, 5);
        var views = new Dictionary<string, Tensor>
        {
            ["transposed"] = x.transpose(1, 3),
            ["sliced"] = x[.., 1.., TensorIndex.Slice(0, 4, 2), 2],
            ["expanded"] = x[0, 0, 0].unsqueeze(0).expand(3, 5),
            ["offset"] = x[1, 2],
            ["scalar"] = x[1, 2, 3, 4],
            ["conjugated"] = complex(x, x).conj().permute(3, 0, 2, 1),
            ["negated"] = complex(x, x).conj().imag,
        };
        SafeTensors.Save(path, views);
        foreach (var (name, view) in views)
        {
            var expected = view.resolve_conj().resolve_neg().clone().contiguous();
            var stored = LiteralSafeTensors.Parse(File.ReadAllBytes(path)).Tensors.Single(t => t.Name == name);
            Assert.Equal(expected.bytes.ToArray(), stored.Bytes);
        }
    }

    [Fact]
    public void Strided_tensors_larger_than_the_staging_are_written_right()
    {
        using var scope = NewDisposeScope();
        // 24 MB each: rows that are gathered several at a time, and rows that are each too large for that.
        var x = Ops.Range(6_000_000).to(ScalarType.Int32);
        var views = new Dictionary<string, Tensor>
        {
            ["many"] = x.reshape(2000, 3000).t(),
            ["few"] = x.reshape(5_000, 1200).t().unsqueeze(0),
        };
        SafeTensors.Save(path, views);
        using var file = SafeTensorsFile.Open(path);
        foreach (var (name, view) in views) Assert.True(view.eq(file.Read(name)).all().item<bool>());
    }

    [Fact]
    public void Without_commit_nothing_is_left()
    {
        using (var writer = Create(Declare("x", StorageType.F32, 1000)))
        {
            writer.WriteBytes("x", new byte[4000]);
            Assert.False(File.Exists(path));
            Assert.Single(Left());
        }
        Assert.Empty(Left());
    }

    [Fact]
    public void Commit_replaces_what_was_there_and_readers_of_the_old_file_keep_it()
    {
        using var scope = NewDisposeScope();
        SafeTensors.Save(path, [new("x", ones(3))]);
        using var old = SafeTensorsFile.Open(path);
        using (var writer = Create(Declare("x", StorageType.F32, 3)))
        {
            writer.Write("x", zeros(3));
            Assert.Equal([1f, 1, 1], Values.Of<float>(old.Read("x")));
            writer.Commit();
        }
        Assert.Equal([1f, 1, 1], Values.Of<float>(old.Read("x")));
        using var fresh = SafeTensorsFile.Open(path);
        Assert.Equal([0f, 0, 0], Values.Of<float>(fresh.Read("x")));
        Assert.Equal(["out.safetensors"], Left());
    }

    [Fact]
    public void A_failed_write_leaves_the_old_file()
    {
        using var scope = NewDisposeScope();
        SafeTensors.Save(path, [new("x", ones(3))]);
        var before = File.ReadAllBytes(path);
        using (var writer = Create(Declare("x", StorageType.F32, 3), Declare("y", StorageType.F32, 3)))
        {
            writer.Write("x", zeros(3));
            var error = Assert.Throws<InterpException>(writer.Commit);
            Assert.Equal("TENSOR_NOT_WRITTEN", error.Reason);
            Assert.Contains("'y'", error.Message, StringComparison.Ordinal);
            Assert.Contains("0 of its 12 bytes", error.Message, StringComparison.Ordinal);
        }
        Assert.Equal(before, File.ReadAllBytes(path));
        Assert.Single(Left());
    }

    [Fact]
    public void What_does_not_fit_the_declaration_is_refused()
    {
        using var scope = NewDisposeScope();
        using var writer = Create(Declare("x", StorageType.F32, 2, 3), Declare("f8", StorageType.F8_E4M3, 2, 3));
        void Refused(string reason, Action write) => Assert.Equal(reason, Assert.Throws<InterpException>(write).Reason);
        Refused("TENSOR_MISMATCH", () => writer.Write("x", zeros(3, 2)));
        Refused("TENSOR_MISMATCH", () => writer.Write("x", zeros(6)));
        Refused("TENSOR_MISMATCH", () => writer.Write("x", zeros(2, 3, dtype: ScalarType.Float64)));
        Refused("TENSOR_MISMATCH", () => writer.Write("f8", zeros(6)));
        Refused("UNKNOWN_TENSOR", () => writer.Write("y", zeros(2, 3)));
        Refused("TENSOR_NOT_DENSE", () => writer.Write("x", zeros(2, 3).to_sparse()));
        Refused("TENSOR_NOT_DENSE", () => writer.Write("x", zeros(2, 3, device: META)));
        Refused("TENSOR_WRITTEN_TWICE", () => writer.WriteBytes("x", new byte[25]));
        writer.Write("x", zeros(2, 3));
        Refused("TENSOR_WRITTEN_TWICE", () => writer.Write("x", zeros(2, 3)));
        Refused("TENSOR_WRITTEN_TWICE", () => writer.WriteBytes("x", new byte[1]));
        writer.Write("f8", zeros(6, dtype: ScalarType.Byte));
        writer.Commit();
    }

    [Fact]
    public void Declarations_that_no_file_can_hold_are_refused()
    {
        void Refused(string reason, params TensorDeclaration[] tensors)
        {
            Assert.Equal(reason, Assert.Throws<InterpException>(() => Create(tensors)).Reason);
            Assert.Empty(Left());
        }
        Refused("DUPLICATE_TENSOR", Declare("x", StorageType.F32, 1), Declare("x", StorageType.F16, 1));
        Refused("NAME_INVALID", Declare("__metadata__", StorageType.F32, 1));
        Refused("NAME_INVALID", Declare("a\ud800", StorageType.F32, 1));
        Refused("TENSOR_TOO_LARGE", Declare("x", StorageType.F32, long.MaxValue));
        Refused("TENSOR_TOO_LARGE", Declare("x", StorageType.F32, -1));
        Refused("TENSOR_TOO_LARGE", Declare("x", StorageType.F4, 3));
        Refused("TENSOR_TOO_LARGE", Declare("x", StorageType.U8, long.MaxValue / 2), Declare("y", StorageType.U8, long.MaxValue / 2));
        Refused("NO_ELEMENT_SIZE", Declare("x", StorageType.Quantized, 32));
        Assert.Equal("DTYPE_NOT_STORABLE", Assert.Throws<InterpException>(() =>
        {
            using var scope = NewDisposeScope();
            SafeTensors.Save(path, [new("x", zeros(1, dtype: ScalarType.ComplexFloat64))]);
        }).Reason);
    }

    [Fact]
    public void A_place_that_cannot_be_written_is_named()
    {
        foreach (var place in new[] { folder.File("none/x.safetensors"), folder.Path })
        {
            var error = Assert.Throws<InterpException>(() => SafeTensorsWriter.Create(place, []));
            Assert.Equal("FILE_NOT_WRITABLE", error.Reason);
            Assert.Contains(place, error.Message, StringComparison.Ordinal);
        }
    }
}
