using InteropInterp.Dictionaries.Architectures;
using InteropInterp.Dictionaries.Formats;
using InteropInterp.Dictionaries.Tests.Support;
using InteropInterp.Models.Weights;
using InteropInterp.Native.Operators;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Tests.Formats;

/// <summary>State dicts of dictionary_learning, against what that package computes with them.</summary>
public class DictionaryLearningTests
{
    private const long D = 32, F = 80;

    private static readonly (string, ScalarType, long[])[] Linear =
    [
        ("b_dec", ScalarType.Float32, [D]), ("k", ScalarType.Int32, []), ("threshold", ScalarType.Float32, []),
        ("decoder.weight", ScalarType.Float32, [D, F]), ("encoder.weight", ScalarType.Float32, [F, D]),
        ("encoder.bias", ScalarType.Float32, [F]),
    ];

    private static readonly (string, ScalarType, long[])[] Matrices =
    [
        ("W_enc", ScalarType.Float32, [D, F]), ("b_enc", ScalarType.Float32, [F]),
        ("W_dec", ScalarType.Float32, [F, D]), ("b_dec", ScalarType.Float32, [D]),
    ];

    // State dicts in the order the package lists them.
    private static readonly Dictionary<string, (string, ScalarType, long[])[]> Layouts = new()
    {
        ["dl_batchtopk"] = Linear,
        ["dl_topk"] = Linear,
        ["dl_matryoshka"] =
        [
            .. Matrices, ("k", ScalarType.Int32, []), ("threshold", ScalarType.Float32, []), ("group_sizes", ScalarType.Int64, [3]),
        ],
        ["dl_jumprelu"] = [.. Matrices, ("threshold", ScalarType.Float32, [F])],
        ["dl_standard"] =
        [
            ("bias", ScalarType.Float32, [D]), ("encoder.weight", ScalarType.Float32, [F, D]), ("encoder.bias", ScalarType.Float32, [F]),
            ("decoder.weight", ScalarType.Float32, [D, F]),
        ],
        ["dl_standard_new"] =
        [
            ("encoder.weight", ScalarType.Float32, [F, D]), ("encoder.bias", ScalarType.Float32, [F]),
            ("decoder.weight", ScalarType.Float32, [D, F]), ("decoder.bias", ScalarType.Float32, [D]),
        ],
    };

    public static TheoryData<string> Folders => [.. Layouts.Keys];

    [Theory, MemberData(nameof(Folders))]
    public void Codes_and_reconstructions_are_the_packages(string name)
    {
        using var fixture = new Fixture(name);
        using var scope = NewDisposeScope();
        using var dictionary = Read(fixture, name, withConfig: true);
        fixture.Codes("codes", dictionary.Encode(fixture.Golden["x"]));
        fixture.Near("recon", dictionary.Reconstruct(fixture.Golden["x"]));
    }

    [Fact]
    public void Folding_the_norms_of_an_AutoEncoder_gives_what_the_package_makes_of_it_on_loading()
    {
        using var fixture = new Fixture("dl_standard");
        using var scope = NewDisposeScope();
        using var dictionary = Read(fixture, "dl_standard", withConfig: true);
        using var folded = dictionary.FoldDecoderNorms();
        fixture.Codes("codes_normalized_decoder", folded.Encode(fixture.Golden["x"]));
        fixture.Near("recon_normalized_decoder", folded.Reconstruct(fixture.Golden["x"]));
    }

    [Fact]
    public void A_folded_batch_topk_has_a_threshold_per_feature_and_the_same_reconstruction()
    {
        using var fixture = new Fixture("dl_batchtopk");
        using var scope = NewDisposeScope();
        using var dictionary = Read(fixture, "dl_batchtopk", withConfig: true);
        using var folded = dictionary.FoldDecoderNorms();
        Assert.IsType<BatchTopK>(dictionary.Architecture);
        fixture.Near("recon", folded.Reconstruct(fixture.Golden["x"]));
    }

    [Theory]
    [InlineData("dl_matryoshka", "batchtopk")]
    [InlineData("dl_jumprelu", "jumprelu")]
    [InlineData("dl_standard", "standard")]
    [InlineData("dl_standard_new", "standard")]
    public void Without_a_config_the_tensors_names_say_the_class(string name, string architecture)
    {
        using var fixture = new Fixture(name);
        using var scope = NewDisposeScope();
        using var dictionary = Read(fixture, name, withConfig: false);
        Assert.Equal(architecture, dictionary.Architecture.Name);
        fixture.Codes("codes", dictionary.Encode(fixture.Golden["x"]));
    }

    [Fact]
    public void A_k_and_a_threshold_without_a_config_are_refused_as_ambiguous()
    {
        using var fixture = new Fixture("dl_batchtopk");
        using var scope = NewDisposeScope();
        Assert.Equal("DICTIONARY_AMBIGUOUS", Assert.Throws<InterpException>(() => Read(fixture, "dl_batchtopk", withConfig: false)).Reason);
    }

    [Fact]
    public void A_gated_dictionary_is_refused_and_the_classes_that_are_read_are_named()
    {
        var config = Path.Combine(Fixture.FolderOf("dl_gated"), "config.json");
        using var source = new MemoryTensors(new Dictionary<string, Tensor>());
        var error = Assert.Throws<InterpException>(() => DictionaryLearningTensors.Read(source, config));
        Assert.Equal("UNKNOWN_ARCHITECTURE", error.Reason);
        Assert.Contains("BatchTopKSAE", error.Message);
    }

    [Fact]
    public void The_mean_of_activations_is_subtracted_before_encoding_and_added_after_decoding()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        Tensor Draw(params long[] shape) => randn(shape, ScalarType.Float64, generator: generator);
        var tensors = new Dictionary<string, Tensor>
        {
            ["encoder.weight"] = Draw(6, 4), ["encoder.bias"] = Draw(6), ["decoder.weight"] = Draw(4, 6), ["b_dec"] = Draw(4),
            ["threshold"] = tensor(new[] { 0.5 }), ["act_mean"] = Draw(4),
        };
        using var source = new MemoryTensors(tensors);
        using var dictionary = DictionaryLearningTensors.Read(source, null, new DictionaryOptions { DataType = ScalarType.Float64 });
        var x = Draw(5, 4);
        var h = (x - tensors["act_mean"] - tensors["b_dec"]).MatMul(tensors["encoder.weight"].t()).Plus(tensors["encoder.bias"]).relu();
        var f = h * h.gt(tensors["threshold"]).to(ScalarType.Float64);
        Assert.InRange(Golden.Distance(dictionary.Encode(x), f), 0, 1e-12);
        var y = f.MatMul(tensors["decoder.weight"].t()).Plus(tensors["b_dec"]).Plus(tensors["act_mean"]);
        Assert.InRange(Golden.Distance(dictionary.Reconstruct(x), y), 0, 1e-12);
    }

    private static SparseDictionary Read(Fixture fixture, string name, bool withConfig)
    {
        using var source = new MemoryTensors(TorchArchive.Read(Path.Combine(fixture.Folder, "ae.pt"), Layouts[name]));
        return DictionaryLearningTensors.Read(source, withConfig ? Path.Combine(fixture.Folder, "config.json") : null);
    }
}
