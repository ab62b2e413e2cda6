using System.Text.Json;
using InteropInterp.Tensors;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Tensors;

public sealed class ShardedSafeTensorsTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData("llama", 4)]
    [InlineData("bloom", 2)]
    public void A_sharded_checkpoint_is_the_union_of_its_files(string family, int shards)
    {
        var path = SharedFolder.Path("fixtures", "families", family);
        using var source = SafeTensors.Open(path);
        var sharded = Assert.IsType<ShardedSafeTensors>(source);
        Assert.Equal(shards, sharded.Shards.Count);
        var expected = Directory.GetFiles(path, "model-*.safetensors")
            .SelectMany(file => LiteralSafeTensors.Parse(File.ReadAllBytes(file)).Tensors).ToList();
        Assert.Equal(expected.Count, source.Entries.Count);
        using var scope = NewDisposeScope();
        foreach (var tensor in expected)
        {
            Assert.Equal(tensor.Type, source.Entries[tensor.Name].Format);
            Assert.Equal(tensor.Shape, source.Read(tensor.Name, ScalarType.Float32).shape);
            Assert.Equal(tensor.Bytes, source.Read(tensor.Name).bytes.ToArray());
            Assert.Equal(tensor.Bytes, Values.Of<byte>(source.ReadBytes(tensor.Name)));
        }
        Assert.Equal("pt", source.Metadata["format"]);
        Assert.Equal("UNKNOWN_TENSOR", Assert.Throws<InterpException>(() => source.Read("none")).Reason);
    }

    private void Shard(string file, string note, params (string Name, float Value)[] tensors)
    {
        using var scope = NewDisposeScope();
        SafeTensors.Save(folder.File(file), tensors.Select(t => KeyValuePair.Create(t.Name, tensor(new[] { t.Value }))),
            new Dictionary<string, string> { ["format"] = "pt", ["note"] = note });
    }

    private string Index(string json)
    {
        var path = folder.File("model.safetensors.index.json");
        File.WriteAllText(path, json);
        return path;
    }

    private string Map(params (string Name, string File)[] map) =>
        Index(JsonSerializer.Serialize(new { metadata = new { total_size = 8 }, weight_map = map.ToDictionary(m => m.Name, m => m.File) }));

    private void Refused(string reason, string path, params string[] parts)
    {
        var error = Assert.Throws<InterpException>(() => ShardedSafeTensors.Open(path));
        Assert.Equal(reason, error.Reason);
        foreach (var part in parts) Assert.Contains(part, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(File.ReadLines("/proc/self/maps"), line => line.Contains(folder.Path, StringComparison.Ordinal));
    }

    [Fact]
    public void The_index_decides_between_copies_and_what_it_omits_is_there()
    {
        Shard("1.safetensors", "one", ("a", 1), ("b", -1));
        Shard("2.safetensors", "two", ("b", 2), ("extra", 3));
        using var source = ShardedSafeTensors.Open(Map(("a", "1.safetensors"), ("b", "2.safetensors")));
        using var scope = NewDisposeScope();
        Assert.Equal([1f, 2, 3], new[] { "a", "b", "extra" }.Select(name => Values.Of<float>(source.Read(name))[0]));
        Assert.Equal(["format"], source.Metadata.Keys);
    }

    [Fact]
    public void A_shard_that_lacks_a_listed_tensor()
    {
        Shard("1.safetensors", "", ("a", 1));
        Refused("INDEX_TENSOR_MISSING", Map(("a", "1.safetensors"), ("b", "1.safetensors")), "'b'", "'1.safetensors'");
    }

    [Fact]
    public void A_shard_that_is_not_there()
    {
        Shard("1.safetensors", "", ("a", 1));
        Refused("FILE_NOT_FOUND", Map(("a", "1.safetensors"), ("b", "2.safetensors")), "2.safetensors");
    }

    [Fact]
    public void An_unlisted_tensor_in_two_shards()
    {
        Shard("1.safetensors", "", ("a", 1), ("x", 1));
        Shard("2.safetensors", "", ("b", 1), ("x", 2));
        Refused("INDEX_AMBIGUOUS", Map(("a", "1.safetensors"), ("b", "2.safetensors")), "'x'");
    }

    [Theory]
    [InlineData("../1.safetensors")]
    [InlineData("/etc/passwd")]
    [InlineData("a/b")]
    [InlineData("a\\b")]
    [InlineData("..")]
    [InlineData("")]
    [InlineData("a\0b")]
    public void A_file_name_that_leaves_the_folder(string name) => Refused("INDEX_FILE_NAME", Map(("a", name)), "'a'");

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("{\"weight_map\":{}}")]
    [InlineData("{\"weight_map\":[]}")]
    [InlineData("{\"weight_map\":{\"a\":1}}")]
    [InlineData("{\"weight_map\":{\"a\":\"1.safetensors\"}")]
    [InlineData("{\"weight_map\":{\"a\":\"1.safetensors\"}}x")]
    [InlineData("{\"weight_map\":{\"\\udc00\":\"1.safetensors\"}}")]
    public void An_index_that_is_none(string json) => Refused("INDEX_INVALID", Index(json), "index.json");

    [Theory]
    [InlineData("{\"weight_map\":{\"a\":\"1.safetensors\",\"a\":\"2.safetensors\"}}")]
    [InlineData("{\"weight_map\":{\"a\":\"1.safetensors\"},\"weight_map\":{\"a\":\"1.safetensors\"}}")]
    public void An_index_that_says_a_thing_twice(string json) => Refused("INDEX_DUPLICATE_KEY", Index(json));

    [Fact]
    public void An_index_that_is_not_utf8()
    {
        var path = Index("");
        File.WriteAllBytes(path, [.. "{\"weight_map\":{\"a"u8, 0xff, .. "\":\"1\"}}"u8]);
        Refused("INDEX_INVALID", path);
    }

    [Fact]
    public void A_folder_is_opened_by_what_lies_in_it()
    {
        Assert.Equal("NO_SAFETENSORS", Assert.Throws<InterpException>(() => SafeTensors.Open(folder.Path)).Reason);
        Shard("one.safetensors", "", ("a", 1));
        using (var source = SafeTensors.Open(folder.Path))
            Assert.Equal(folder.File("one.safetensors"), Assert.IsType<SafeTensorsFile>(source).Path);
        Shard("two.safetensors", "", ("b", 1));
        var error = Assert.Throws<InterpException>(() => SafeTensors.Open(folder.Path));
        Assert.Equal("SEVERAL_SAFETENSORS", error.Reason);
        Assert.Contains("one.safetensors, two.safetensors", error.Message, StringComparison.Ordinal);
        Map(("a", "one.safetensors"), ("b", "two.safetensors"));
        using (var source = SafeTensors.Open(folder.Path)) Assert.Equal(["a", "b"], source.Entries.Keys);
        Shard("model.safetensors", "", ("c", 1));
        using (var source = SafeTensors.Open(folder.Path)) Assert.Equal(["c"], source.Entries.Keys);
        using (var source = SafeTensors.Open(folder.File("two.safetensors"))) Assert.Equal(["b"], source.Entries.Keys);
    }
}
