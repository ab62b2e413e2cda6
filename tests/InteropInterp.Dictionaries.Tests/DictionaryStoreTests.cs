using InteropInterp.Dictionaries.Tests.Support;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Tests;

public class DictionaryStoreTests
{
    [Fact]
    public void The_same_content_is_loaded_once_and_goes_with_its_last_user()
    {
        var store = new DictionaryStore();
        using var folder = new TemporaryFolder();
        var theirs = Fixture.FolderOf("saelens_standard");
        foreach (var file in new[] { "cfg.json", "sae_weights.safetensors" }) File.Copy(Path.Combine(theirs, file), folder.File(file));

        var first = store.Load(theirs);
        var second = store.Load(folder.Path);
        Assert.Same(first.Dictionary, second.Dictionary);
        Assert.Equal(first.Digest, second.Digest);
        first.Dispose();
        first.Dispose();
        Assert.Equal(80, second.Dictionary.Config.Width);
        Assert.Equal("DICTIONARY_CLOSED", Assert.Throws<InterpException>(() => first.Dictionary).Reason);
        second.Dispose();
        Assert.Equal(0, store.Count);
    }

    [Fact]
    public void Another_type_another_scale_and_another_content_are_other_dictionaries()
    {
        var store = new DictionaryStore();
        var path = Fixture.FolderOf("saelens_standard");
        using var a = store.Load(path);
        using var b = store.Load(path, new DictionaryOptions { DataType = ScalarType.Float64 });
        using var c = store.Load(path, new DictionaryOptions { ActivationScale = 2 });
        using var d = store.Load(Fixture.FolderOf("saelens_standard_no_bdec"));
        using var e = store.Add(a.Dictionary.FoldDecoderNorms());
        Assert.Equal(5, store.Count);
        Assert.Equal(5, new[] { a, b, c, d, e }.Select(s => s.Dictionary).Distinct().Count());
    }

    [Fact]
    public void A_load_that_fails_leaves_nothing_behind()
    {
        var store = new DictionaryStore();
        Assert.Throws<InterpException>(() => store.Load(Fixture.FolderOf("saelens_gated")));
        Assert.Equal(0, store.Count);
    }
}
