using InteropInterp.Models;
using InteropInterp.Models.Weights;
using InteropInterp.Plans;
using InteropInterp.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Models;

/// <summary>Which files a name means, and what is said where they are not as they should be.</summary>
public class ModelFilesTests
{
    private static readonly Row[] Rows = [new([3, 1, 4, 1, 5])];

    private static TransformerModel Small() => TinyModels.Make("llama", ScalarType.Float32);

    private static void SameLogits(TransformerModel a, TransformerModel b, double tolerance = 0)
    {
        using var x = PlanRunner.Run(a, new Plan { Rows = Rows, Outputs = Outputs.AllLogits });
        using var y = PlanRunner.Run(b, new Plan { Rows = Rows, Outputs = Outputs.AllLogits });
        Assert.Equal(0, Golden.Distance(x.Logits!, y.Logits!), tolerance);
    }

    [Theory, InlineData("gpt2"), InlineData("llama"), InlineData("parallel"), InlineData("attention")]
    public void A_saved_model_is_the_same_again_as_file_and_as_folder(string kind)
    {
        using var folder = new TemporaryFolder();
        using var model = TinyModels.Make(kind, ScalarType.Float32);
        ModelSaver.Save(model, folder.File("m.safetensors"));
        ModelSaver.Save(model, folder.File("as_folder"));
        var none = new LoadOptions { Processing = ProcessingOptions.None };
        foreach (var name in new[] { "m.safetensors", "as_folder", "as_folder/tl_config.json", "as_folder/tl_state_dict.safetensors" })
        {
            using var again = ModelLoader.Load(folder.File(name), none);
            SameLogits(model, again);
            Assert.Equal(model.Config, again.Config);
        }
        // The folder of a single pair means the pair.
        Directory.Delete(folder.File("as_folder"), recursive: true);
        using var found = ModelLoader.Load(folder.Path, none);
        SameLogits(model, found);
    }

    [Fact]
    public void A_config_json_with_TransformerLens_fields_beside_model_safetensors_is_read_as_such()
    {
        using var folder = new TemporaryFolder();
        using var model = Small();
        ModelSaver.Save(model, folder.File("model.safetensors"));
        File.Move(folder.File("model.config.json"), folder.File("config.json"));
        using var again = ModelLoader.Load(folder.Path, new LoadOptions { Processing = ProcessingOptions.None });
        SameLogits(model, again);
        using var shared = ModelLoader.Load(SharedFolder.Path("fixtures", "dictionaries", "tiny_model"));
        Assert.Equal(50, shared.Config.VocabularySize);
    }

    [Fact]
    public void A_hub_name_is_looked_up_in_the_local_cache_and_never_downloaded()
    {
        using var folder = new TemporaryFolder();
        using var model = Small();
        var snapshot = Path.Combine(folder.Path, "models--me--tiny", "snapshots", "abc");
        Directory.CreateDirectory(Path.Combine(folder.Path, "models--me--tiny", "refs"));
        File.WriteAllText(Path.Combine(folder.Path, "models--me--tiny", "refs", "main"), "abc");
        ModelSaver.Save(model, snapshot);
        Environment.SetEnvironmentVariable("HF_HUB_CACHE", folder.Path);
        try
        {
            using var cached = ModelLoader.Load("me/tiny", new LoadOptions { Processing = ProcessingOptions.None });
            SameLogits(model, cached);
            var error = Assert.Throws<InterpException>(() => ModelLoader.Load("me/tinny"));
            Assert.Equal("MODEL_NOT_FOUND", error.Reason);
            Assert.Contains("me/tiny", error.Suggestions);
            Assert.Contains("Nothing is downloaded", error.Message, StringComparison.Ordinal);
        }
        finally
        {
            Environment.SetEnvironmentVariable("HF_HUB_CACHE", null);
        }
    }

    [Fact]
    public void Config_and_weights_that_do_not_belong_together_are_refused_by_name()
    {
        using var folder = new TemporaryFolder();
        using var model = Small();
        using var scope = NewDisposeScope();
        var good = model.StateDict.Names.ToDictionary(n => n, n => model.StateDict[n]);
        InterpException Loading(Action<Dictionary<string, Tensor>> spoil, Func<TransformerConfig, TransformerConfig>? change = null)
        {
            var tensors = new Dictionary<string, Tensor>(good);
            spoil(tensors);
            return Assert.Throws<InterpException>(() => ModelLoader.FromStateDict(change is null ? model.Config : change(model.Config), tensors));
        }
        var missing = Loading(t => t.Remove("blocks.1.attn.W_O"));
        Assert.Equal("WEIGHT_MISSING", missing.Reason);
        Assert.Contains("blocks.1.attn.W_O [4, 4, 16]", missing.Message, StringComparison.Ordinal);
        var shape = Loading(t => t["blocks.0.mlp.W_in"] = zeros(16, 63));
        Assert.Equal("WEIGHT_SHAPE", shape.Reason);
        Assert.Contains("[16, 63]", shape.Message, StringComparison.Ordinal);
        Assert.Contains("[16, 64]", shape.Message, StringComparison.Ordinal);
        var extra = Loading(t => t["blocks.0.attn.W_Qq"] = zeros(1));
        Assert.Equal("UNEXPECTED_WEIGHT", extra.Reason);
        Assert.Contains("blocks.0.attn.W_Q", extra.Suggestions);
        // Folded weights with an unfolded config, and the other way round.
        Assert.Equal("UNEXPECTED_WEIGHT", Loading(_ => { }, c => c with { Normalization = "RMSPre" }).Reason);
        // Buffers of TransformerLens are passed over.
        good["blocks.0.attn.mask"] = zeros(3, 3);
        using var fine = ModelLoader.FromStateDict(model.Config, good);
        SameLogits(model, fine);
    }

    [Theory]
    [InlineData("""{"architectures":["MambaForCausalLM"]}""", "UNKNOWN_ARCHITECTURE", "MambaForCausalLM")]
    [InlineData("""{"architectures":["LlamaForCausalML"]}""", "UNKNOWN_ARCHITECTURE", "LlamaForCausalLM")]
    [InlineData("""{"architectures":["LlamaForCausalLM"]}""", "BAD_CONFIG", "hidden_size")]
    [InlineData("""{"architectures":["LlamaForCausalLM"],"hidden_size":"wide"}""", "BAD_CONFIG", "\"wide\"")]
    [InlineData("""{"d_model":8,"n_layers":1,"n_ctx":4,"d_head":3,"d_vocab":5,"act_fn":"relu"}""", "INVALID_CONFIG", "d_model (8) must be divisible by d_head (3)")]
    [InlineData("""{"d_model":8,"n_layers":1,"n_ctx":4,"d_head":4,"d_vocab":5}""", "INVALID_CONFIG", "act_fn must be set")]
    [InlineData("""{"d_model":8,"n_layers":1,"n_ctx":4,"d_head":4,"d_vocab":5,"act_fn":"rleu"}""", "INVALID_CONFIG", "'relu'")]
    [InlineData("""{"d_model":8,"n_layers":1,"n_ctx":4,"d_head":4,"d_vocab":5,"act_fn":"relu","use_attention_sinks":true}""", "UNSUPPORTED_FEATURE", "use_attention_sinks")]
    [InlineData("""[1,2]""", "BAD_CONFIG", "JSON object")]
    [InlineData("""{"architectures":["LlamaForCausalLM"],"hidden_size":8,"num_attention_heads":2,"num_hidden_layers":1,"intermediate_size":8,"max_position_embeddings":8,"vocab_size":5,"rope_scaling":{"type":"longrope","factor":2}}""", "UNSUPPORTED_FEATURE", "longrope")]
    public void A_config_that_cannot_be_computed_is_refused_with_the_field(string json, string reason, string names)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.File("config.json"), json);
        SafeTensors.Save(folder.File("model.safetensors"), new Dictionary<string, Tensor>());
        var error = Assert.Throws<InterpException>(() => ModelLoader.Load(folder.Path));
        Assert.Equal(reason, error.Reason);
        Assert.Contains(names, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Missing_and_wrong_files_say_what_was_looked_for()
    {
        using var folder = new TemporaryFolder();
        void Refused(string reason, string name) => Assert.Equal(reason, Assert.Throws<InterpException>(() => ModelLoader.Load(name)).Reason);
        Refused("MODEL_NOT_FOUND", folder.File("nothing"));
        Refused("MODEL_NOT_FOUND", folder.Path);
        Refused("MODEL_NOT_FOUND", "");
        File.WriteAllText(folder.File("model.pt"), "pickle");
        Refused("MODEL_NOT_FOUND", folder.File("model.pt"));
        File.WriteAllText(folder.File("config.json"), "{}");
        Refused("WEIGHTS_NOT_FOUND", folder.Path);
        File.WriteAllText(folder.File("a.gguf"), "GGUF");
        Refused("WEIGHTS_NOT_FOUND", folder.Path);
        File.Delete(folder.File("config.json"));
        Assert.StartsWith("GGUF", Assert.Throws<InterpException>(() => ModelLoader.Load(folder.Path)).Reason, StringComparison.Ordinal);
        File.WriteAllText(folder.File("b.gguf"), "GGUF");
        Refused("MODEL_AMBIGUOUS", folder.Path);
    }

    [Fact]
    public void Options_cut_layers_and_context_and_refuse_what_is_not_there()
    {
        using var folder = new TemporaryFolder();
        using var model = TinyModels.Make("gpt2", ScalarType.Float32);
        ModelSaver.Save(model, folder.File("m.safetensors"));
        TransformerModel Load(LoadOptions options) => ModelLoader.Load(folder.File("m.safetensors"), options with { Processing = ProcessingOptions.None });
        using var two = Load(new LoadOptions { FirstLayers = 2 });
        using var cut = Load(new LoadOptions { ContextLength = 5 });
        Assert.Equal((2, 5L), (two.Config.LayerCount, cut.Weights.Positions!.shape[0]));
        SameLogits(model, cut);
        void Refused(string reason, LoadOptions options) => Assert.Equal(reason, Assert.Throws<InterpException>(() => Load(options)).Reason);
        Refused("LAYER_OUT_OF_RANGE", new LoadOptions { FirstLayers = 4 });
        Refused("CONTEXT_OUT_OF_RANGE", new LoadOptions { ContextLength = 25 });
        Refused("DTYPE_NOT_COMPUTED", new LoadOptions { DataType = ScalarType.BFloat16 });
        Refused("UNKNOWN_DEVICE", new LoadOptions { Device = "gpu" });
        if (!cuda.is_available()) Refused("DEVICE_NOT_PRESENT", new LoadOptions { Device = "cuda:0" });
    }

    [Fact]
    public void A_place_that_cannot_be_written_to_is_named()
    {
        using var model = ModelLoader.Random(TinyModel.Config);
        foreach (var place in new[] { "/proc/nowhere/model", "/proc/nowhere/model.safetensors" })
        {
            var error = Assert.Throws<InterpException>(() => ModelSaver.Save(model, place));
            Assert.Equal("FILE_NOT_WRITABLE", error.Reason);
            Assert.Contains(place, error.Message, StringComparison.Ordinal);
        }
    }
}
