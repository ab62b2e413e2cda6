using System.Text.Json;
using InteropInterp.Models;
using InteropInterp.Models.Weights;
using InteropInterp.Native.Operators;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Tests.Support;

/// <summary>A folder of shared/fixtures/dictionaries: a dictionary as its library saved it, with what the library computed.</summary>
internal sealed class Fixture(string name) : IDisposable
{
    public string Folder { get; } = FolderOf(name);

    public Golden Golden { get; } = new(Path.Combine(FolderOf(name), "golden.safetensors"));

    /// <summary>golden.json.</summary>
    public JsonElement Facts { get; } = FactsOf(name);

    public static string FolderOf(string name) => SharedFolder.Path(["fixtures", "dictionaries", .. name.Split('/')]);

    public static JsonElement FactsOf(string name) =>
        JsonDocument.Parse(File.ReadAllText(Path.Combine(FolderOf(name), "golden.json"))).RootElement;

    public static SparseDictionary InFloat64(string name) =>
        DictionaryLoader.Load(FolderOf(name), new DictionaryOptions { DataType = ScalarType.Float64 });

    /// <summary>A file of the trained model that compares lists.</summary>
    public static string ListComparison(string file) => SharedFolder.Path("models", "06_listcomp_attn2L_sae", "derived", file);

    public static TransformerModel TinyModel(ScalarType dtype = ScalarType.Float32) =>
        ModelLoader.Load(FolderOf("tiny_model"), new LoadOptions { Processing = ProcessingOptions.None, DataType = dtype });

    /// <summary>Fails where the largest error relative to max(1, |golden|) is above 1e-5, the fixtures' own bound.</summary>
    public void Near(string tensor, Tensor actual, double tolerance = 1e-5)
    {
        using var scope = NewDisposeScope();
        var expected = Golden[tensor];
        Assert.Equal(expected.shape, actual.shape);
        var worst = Golden.Distance(actual / expected.abs().clamp_min(Scalars.One), expected / expected.abs().clamp_min(Scalars.One));
        Assert.True(worst <= tolerance, $"{name} {tensor}: off by {worst:G3}, allowed {tolerance:G3}");
    }

    /// <summary>Codes: as <see cref="Near"/>, and exactly the same ones active.</summary>
    public void Codes(string tensor, Tensor actual, double tolerance = 1e-5)
    {
        Near(tensor, actual, tolerance);
        using var scope = NewDisposeScope();
        var isSame = Golden[tensor].ne(Scalars.Zero).eq(actual.ne(Scalars.Zero)).all().item<bool>();
        Assert.True(isSame, $"{name} {tensor}: other features are active");
    }

    public void Dispose() => Golden.Dispose();
}
