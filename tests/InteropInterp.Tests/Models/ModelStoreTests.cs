using InteropInterp.Models;
using InteropInterp.Models.Weights;
using TorchSharp;

namespace InteropInterp.Tests.Models;

public class ModelStoreTests
{
    private static string Saved(TemporaryFolder folder, string name, string kind = "gpt2")
    {
        using var model = TinyModels.Make(kind, torch.ScalarType.Float32);
        ModelSaver.Save(model, folder.File(name));
        return folder.File(name);
    }

    [Fact]
    public void The_same_files_are_loaded_once_and_gone_with_their_last_user()
    {
        using var folder = new TemporaryFolder();
        var store = new ModelStore();
        var path = Saved(folder, "a.safetensors");
        var copy = folder.File("copy.safetensors");
        File.Copy(path, copy);
        File.Copy(Path.ChangeExtension(path, ".config.json"), Path.ChangeExtension(copy, ".config.json"));
        var first = store.Load(path);
        var second = store.Load(copy);
        Assert.Same(first.Model, second.Model);
        Assert.Equal(first.Digest, second.Digest);
        // Other processing, type or content is another model.
        using var raw = store.Load(path, new LoadOptions { Processing = ProcessingOptions.None });
        using var precise = store.Load(path, new LoadOptions { DataType = torch.ScalarType.Float64 });
        Assert.Equal(3, store.Count);
        first.Dispose();
        Assert.Equal("MODEL_CLOSED", Assert.Throws<InterpException>(() => first.Model).Reason);
        Assert.Equal(3, second.Model.Config.LayerCount);
        second.Dispose();
        second.Dispose();
        Assert.Equal(2, store.Count);
    }

    [Fact]
    public void A_file_that_changed_is_another_model()
    {
        using var folder = new TemporaryFolder();
        var store = new ModelStore();
        using var before = store.Load(Saved(folder, "a.safetensors"));
        using var after = store.Load(Saved(folder, "a.safetensors", "attention"));
        Assert.NotEqual(before.Digest, after.Digest);
        Assert.True(after.Model.Config.AttentionOnly);
    }

    [Fact]
    public async Task Many_threads_that_ask_at_once_share_one_load()
    {
        using var folder = new TemporaryFolder();
        var store = new ModelStore();
        var path = Saved(folder, "a.safetensors");
        var shares = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() => store.Load(path))));
        Assert.Single(shares.Select(s => s.Model).Distinct());
        foreach (var share in shares) share.Dispose();
        Assert.Equal(0, store.Count);
    }

    [Fact]
    public void A_load_that_fails_is_not_kept()
    {
        using var folder = new TemporaryFolder();
        var store = new ModelStore();
        var path = Saved(folder, "a.safetensors");
        var config = Path.ChangeExtension(path, ".config.json");
        var good = File.ReadAllText(config);
        File.WriteAllText(config, good.Replace("\"n_layers\": 3", "\"n_layers\": 4"));
        Assert.Equal("WEIGHT_MISSING", Assert.Throws<InterpException>(() => store.Load(path)).Reason);
        Assert.Equal(0, store.Count);
        File.WriteAllText(config, good);
        using var share = store.Load(path);
        Assert.Equal(3, share.Model.Config.LayerCount);
    }
}
