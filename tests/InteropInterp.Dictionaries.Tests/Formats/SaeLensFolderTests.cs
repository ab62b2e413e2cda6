using System.Text.Json.Nodes;
using InteropInterp.Dictionaries.Formats;
using InteropInterp.Dictionaries.Tests.Support;
using InteropInterp.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Tests.Formats;

public class SaeLensFolderTests
{
    [Theory]
    [InlineData("saelens_standard")]
    [InlineData("saelens_standard_no_bdec")]
    [InlineData("saelens_standard_layer_norm")]
    [InlineData("saelens_standard_hook_z")]
    [InlineData("saelens_topk")]
    [InlineData("saelens_topk_rescaled")]
    [InlineData("saelens_jumprelu")]
    public void Saving_gives_SAELenss_bytes(string name)
    {
        using var folder = new TemporaryFolder();
        var theirs = Fixture.FolderOf(name);
        using var dictionary = DictionaryLoader.Load(theirs);
        SaeLensFolder.Save(dictionary, folder.Path);
        foreach (var file in new[] { "cfg.json", "sae_weights.safetensors" })
            SameBytes(Path.Combine(theirs, file), folder.File(file));
    }

    [Fact]
    public void Half_precision_weights_survive_a_round_trip_bit_for_bit()
    {
        using var folder = new TemporaryFolder();
        var theirs = SharedFolder.Path("models", "10_smollm2_sae");
        using var dictionary = DictionaryLoader.Load(theirs);
        SaeLensFolder.Save(dictionary, folder.Path, ScalarType.Float16);
        SameBytes(Path.Combine(theirs, "sae_weights.safetensors"), folder.File("sae_weights.safetensors"));
        using var again = DictionaryLoader.Load(folder.Path);
        Assert.Equal(dictionary.HookName, again.HookName);
        Assert.Equal(SaeLensFolder.ConfigJson(dictionary), SaeLensFolder.ConfigJson(again));
    }

    [Theory]
    [InlineData("saelens_batchtopk_as_jumprelu/checkpoint", "saelens_batchtopk_as_jumprelu")]
    [InlineData("saelens_matryoshka_as_jumprelu/checkpoint", "saelens_matryoshka_as_jumprelu")]
    public void A_batchtopk_is_saved_as_the_jumprelu_that_SAELens_makes_of_it(string checkpoint, string inference)
    {
        using var fixture = new Fixture(inference);
        using var folder = new TemporaryFolder();
        using (var dictionary = DictionaryLoader.Load(Fixture.FolderOf(checkpoint))) SaeLensFolder.Save(dictionary, folder.Path);
        using var ours = new Golden(folder.File("sae_weights.safetensors"));
        using var theirs = new Golden(Path.Combine(fixture.Folder, "sae_weights.safetensors"));
        Assert.Equal(theirs.Names.Order(), ours.Names.Order());
        using var scope = NewDisposeScope();
        foreach (var name in theirs.Names) theirs.Near(name, ours[name], 1e-6);
        using var again = DictionaryLoader.Load(folder.Path);
        fixture.Codes("codes", again.Encode(fixture.Golden["x"]));
        Assert.Equal("jumprelu", again.Architecture.Name);
    }

    [Fact]
    public void A_dictionary_of_dictionary_learning_is_saved_in_SAELenss_format_and_reads_the_same()
    {
        using var folder = new TemporaryFolder();
        using var dictionary = DictionaryLoader.Load(Fixture.ListComparison("sae_k3.safetensors"));
        SaeLensFolder.Save(dictionary, folder.Path);
        using var again = DictionaryLoader.Load(folder.Path);
        using var scope = NewDisposeScope();
        using var generator = new Generator(5);
        var x = randn([50, 64], generator: generator);
        Assert.Equal(0, Golden.Distance(dictionary.Encode(x), again.Encode(x)));
        Assert.Equal(0, Golden.Distance(dictionary.Reconstruct(x), again.Reconstruct(x)));
    }

    [Fact]
    public void A_log_threshold_of_an_older_checkpoint_is_exponentiated()
    {
        using var fixture = new Fixture("saelens_jumprelu");
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        File.Copy(Path.Combine(fixture.Folder, "cfg.json"), folder.File("cfg.json"));
        using (var source = SafeTensors.Open(Path.Combine(fixture.Folder, "sae_weights.safetensors")))
            SafeTensors.Save(folder.File("sae_weights.safetensors"), source.Entries.Keys.Select(n => n == "threshold"
                ? KeyValuePair.Create("log_threshold", source.Read(n).log()) : KeyValuePair.Create(n, source.Read(n))));
        using var dictionary = DictionaryLoader.Load(folder.Path);
        fixture.Codes("codes", dictionary.Encode(fixture.Golden["x"]));
    }

    [Theory]
    // A wrong number is worse than a refusal: each of these changes what the dictionary would compute, or may.
    [InlineData("architecture", "\"gated\"", "UNKNOWN_ARCHITECTURE")]
    [InlineData("architecture", "\"standart\"", "UNKNOWN_ARCHITECTURE")]
    [InlineData("architecture", "\"jumprelu\"", "TENSOR_MISSING")]
    [InlineData("architecture", "7", "BAD_DICTIONARY_CONFIG")]
    [InlineData("normalize_activations", "\"sideways\"", "UNSUPPORTED_FEATURE")]
    [InlineData("normalize_activations", "\"covariance_whitening\"", "UNSUPPORTED_FEATURE")]
    [InlineData("reshape_activations", "\"hook_q\"", "UNSUPPORTED_FEATURE")]
    [InlineData("apply_b_dec_to_inputs", "false", "UNKNOWN_CONFIG_FIELD")]
    [InlineData("apply_b_dec_to_input", "\"no\"", "BAD_DICTIONARY_CONFIG")]
    [InlineData("d_sae", "81", "DICTIONARY_SHAPE")]
    [InlineData("d_in", "0", "BAD_DICTIONARY_CONFIG")]
    [InlineData("d_in", "null", "BAD_DICTIONARY_CONFIG")]
    public void A_config_that_means_something_else_is_refused(string field, string json, string reason)
    {
        using var folder = new TemporaryFolder();
        CopyWith("saelens_standard", folder, cfg => cfg[field] = JsonNode.Parse(json));
        var error = Assert.Throws<InterpException>(() => DictionaryLoader.Load(folder.Path));
        Assert.Equal(reason, error.Reason);
        Assert.Contains(field == "architecture" && reason == "TENSOR_MISSING" ? "threshold" : field, error.Message);
    }

    [Fact]
    public void A_misspelt_field_suggests_the_right_one_and_can_be_passed_over_on_request()
    {
        using var fixture = new Fixture("saelens_standard");
        using var folder = new TemporaryFolder();
        CopyWith("saelens_standard", folder, cfg => cfg["aply_b_dec_to_input"] = false);
        var error = Assert.Throws<InterpException>(() => DictionaryLoader.Load(folder.Path));
        Assert.Equal("apply_b_dec_to_input", error.Suggestions[0]);
        using var dictionary = DictionaryLoader.Load(folder.Path, new DictionaryOptions { IgnoreUnknownFields = true });
        using var scope = NewDisposeScope();
        fixture.Codes("codes", dictionary.Encode(fixture.Golden["x"]));
    }

    [Theory]
    [InlineData("7.5")]
    [InlineData("0")]
    [InlineData("81")]
    public void A_k_that_is_no_number_of_features_is_refused(string k)
    {
        using var folder = new TemporaryFolder();
        CopyWith("saelens_topk", folder, cfg => cfg["k"] = JsonNode.Parse(k));
        Assert.Equal("INVALID_K", Assert.Throws<InterpException>(() => DictionaryLoader.Load(folder.Path)).Reason);
    }

    [Fact]
    public void Tensors_of_another_architecture_are_refused()
    {
        using var folder = new TemporaryFolder();
        CopyWith("saelens_jumprelu", folder, cfg => cfg["architecture"] = "standard");
        var error = Assert.Throws<InterpException>(() => DictionaryLoader.Load(folder.Path));
        Assert.Equal("UNEXPECTED_TENSOR", error.Reason);
        Assert.Contains("threshold", error.Message);
    }

    [Theory]
    [InlineData("{\"scaling_factor\": 1.3, \"has_whitening\": false}", null)]
    [InlineData("{\"scaling_factor\": null}", "ACTIVATION_SCALE_MISSING")]
    [InlineData("{\"scaling_factor\": null, \"has_whitening\": true}", "UNSUPPORTED_FEATURE")]
    [InlineData("[1]", "BAD_DICTIONARY_CONFIG")]
    public void The_activation_scale_of_a_checkpoint_is_read_from_its_file(string json, string? reason)
    {
        using var fixture = new Fixture("saelens_standard_expected_average");
        using var folder = new TemporaryFolder();
        CopyWith("saelens_standard_expected_average", folder, _ => { });
        File.WriteAllText(folder.File("activation_scaler.json"), json);
        if (reason is not null)
        {
            Assert.Equal(reason, Assert.Throws<InterpException>(() => DictionaryLoader.Load(folder.Path)).Reason);
            return;
        }
        using var dictionary = DictionaryLoader.Load(folder.Path);
        using var scope = NewDisposeScope();
        fixture.Codes("scale_folded.codes", dictionary.Encode(fixture.Golden["x"]));
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("null")]
    [InlineData("{\"d_in\": 32, \"d_in\": 16}")]
    public void A_config_that_is_no_JSON_object_is_refused(string text)
    {
        using var folder = new TemporaryFolder();
        CopyWith("saelens_standard", folder, _ => { });
        File.WriteAllText(folder.File("cfg.json"), text);
        Assert.Equal("BAD_DICTIONARY_CONFIG", Assert.Throws<InterpException>(() => DictionaryLoader.Load(folder.Path)).Reason);
    }

    [Fact]
    public void What_is_no_dictionary_is_refused_saying_what_was_looked_for()
    {
        using var folder = new TemporaryFolder();
        Assert.Equal("DICTIONARY_NOT_FOUND", Assert.Throws<InterpException>(() => DictionaryLoader.Load(folder.Path)).Reason);
        Assert.Equal("DICTIONARY_NOT_FOUND", Assert.Throws<InterpException>(() => DictionaryLoader.Load(folder.File("absent"))).Reason);
        File.WriteAllText(folder.File("ae.pt"), "pickle");
        Assert.Contains("pt", Assert.Throws<InterpException>(() => DictionaryLoader.Load(folder.File("ae.pt"))).Message);
        File.WriteAllText(folder.File("cfg.json"), "{}");
        Assert.Contains("sae_weights.safetensors", Assert.Throws<InterpException>(() => DictionaryLoader.Load(folder.Path)).Message);
    }

    private static void SameBytes(string theirs, string ours) =>
        Assert.True(File.ReadAllBytes(theirs).SequenceEqual(File.ReadAllBytes(ours)), $"other bytes than {theirs}");

    private static void CopyWith(string name, TemporaryFolder folder, Action<JsonObject> change)
    {
        var theirs = Fixture.FolderOf(name);
        File.Copy(Path.Combine(theirs, "sae_weights.safetensors"), folder.File("sae_weights.safetensors"));
        var cfg = JsonNode.Parse(File.ReadAllText(Path.Combine(theirs, "cfg.json")))!.AsObject();
        change(cfg);
        File.WriteAllText(folder.File("cfg.json"), cfg.ToJsonString());
    }
}
