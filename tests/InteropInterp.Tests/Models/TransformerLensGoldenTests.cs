using InteropInterp.Generation;
using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Models.Weights;
using InteropInterp.Plans;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Models;

/// <summary>Models in TransformerLens's own layout: every norm, position embedding, activation and mask it has.</summary>
public class TransformerLensGoldenTests
{
    private const double Tolerance = 1e-4;

    public static TheoryData<string> Folders =>
    [
        "tl_attn_only", "tl_attn_only_shortformer", "tl_bidirectional", "tl_gated_rmspre", "tl_gelu_1l", "tl_inverse_layer_softcap",
        "tl_local_attention", "tl_parallel", "tl_relu_no_norm_1l", "tl_rotary_adjacent", "tl_solu_ln",
    ];

    public static TheoryData<string> Converted => ["gpt2", "gpt_neox", "llama"];

    private static string Folder(string name) => SharedFolder.Path("fixtures", "families", name);

    [Theory, MemberData(nameof(Folders))]
    public void Every_hook_point_is_TransformerLenss(string name)
    {
        using var golden = new Golden(Path.Combine(Folder(name), "golden.safetensors"));
        using var model = ModelLoader.Load(Folder(name), new LoadOptions { Processing = ProcessingOptions.None });
        var names = golden.Names.Where(n => n.Contains("hook_", StringComparison.Ordinal)).Select(n => n["tl.raw.".Length..]).ToList();
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = Row.From(golden.Rows("input_ids")),
            Flags = Flags(model),
            Outputs = new Outputs { Logits = LogitsWanted.All, Loss = golden.Has("tl.raw.loss") && model.Config.VocabularySize == model.Config.OutputVocabularySize },
            Captures = [.. names.Select(n => new Capture(n))],
        });
        golden.Near("tl.raw.logits", run.Logits!, Tolerance);
        foreach (var hook in names) golden.Near($"tl.raw.{hook}", run[hook], Tolerance);
        using var scope = NewDisposeScope();
        if (run.Loss is { } loss) Assert.Equal(golden["tl.raw.loss"].item<float>(), loss, Tolerance);
    }

    [Theory, MemberData(nameof(Folders))]
    public void Every_firing_point_is_in_the_golden_and_nothing_else_fires(string name)
    {
        using var golden = new Golden(Path.Combine(Folder(name), "golden.safetensors"));
        using var model = ModelLoader.Load(Folder(name), new LoadOptions { Processing = ProcessingOptions.None });
        var ours = new HookCatalogue(model.Config, Flags(model)).Names;
        Assert.Equal(golden.Names.Where(n => n.Contains("hook_", StringComparison.Ordinal)).Select(n => n["tl.raw.".Length..]).Order(), ours.Order());
    }

    [Theory, MemberData(nameof(Folders))]
    public void Float64_logits_are_the_reference(string name)
    {
        using var golden = new Golden(Path.Combine(Folder(name), "golden.safetensors"));
        using var model = ModelLoader.Load(Folder(name), new LoadOptions { Processing = ProcessingOptions.None, DataType = ScalarType.Float64 });
        using var run = PlanRunner.Run(model, new Plan { Rows = Row.From(golden.Rows("input_ids")), Outputs = Outputs.AllLogits });
        golden.Near("tl.raw.logits_f64", run.Logits!, 1e-5);
    }

    [Theory, MemberData(nameof(Folders))]
    public void Processed_logits_are_TransformerLenss(string name)
    {
        using var golden = new Golden(Path.Combine(Folder(name), "golden.safetensors"));
        Assert.SkipUnless(golden.Has("tl.proc.logits"), "not processed by TransformerLens");
        using var model = ModelLoader.Load(Folder(name));
        using var run = PlanRunner.Run(model, new Plan { Rows = Row.From(golden.Rows("input_ids")), Outputs = Outputs.AllLogits });
        golden.Near("tl.proc.logits", run.Logits!, Tolerance);
    }

    [Theory, MemberData(nameof(Folders))]
    public void Greedy_tokens_are_those_of_one_full_pass_per_token_and_TransformerLenss_where_it_is_right(string name)
    {
        using var golden = new Golden(Path.Combine(Folder(name), "golden.safetensors"));
        Assert.SkipUnless(golden.Has("gen.greedy"), "no golden generation");
        using var model = ModelLoader.Load(Folder(name), new LoadOptions { Processing = ProcessingOptions.None });
        var prompt = golden.Rows("input_ids")[0][..5];
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = Row.From([prompt]),
            Generation = new GenerationOptions { MaxNewTokens = 10, Sample = false },
        });
        var full = prompt.ToList();
        for (var i = 0; i < 10; i++)
        {
            using var pass = PlanRunner.Run(model, new Plan { Rows = [new Row(full)], Outputs = new Outputs { Logits = LogitsWanted.Last } });
            using var scope = NewDisposeScope();
            full = [.. full, (int)pass.Logits!.argmax().item<long>()];
        }
        Assert.Equal(full, run.Tokens![0]);
        // TransformerLens without a tokenizer gives every cached step of a model with learned positions the wrong one; its own
        // generation without a cache agrees with ours.
        if (model.Config.PositionalEmbedding != "standard") Assert.Equal(golden.Rows("gen.greedy")[0], run.Tokens[0]);
    }

    [Theory, MemberData(nameof(Converted))]
    public void Weights_in_TransformerLens_names_are_TransformerLenss(string family)
    {
        using var raw = new Golden(Path.Combine(Folder(family), "tl_state_dict.safetensors"));
        using var model = ModelLoader.Load(Folder(family), new LoadOptions { Processing = ProcessingOptions.None });
        Compare(raw, model, 0);
        using var processed = new Golden(Path.Combine(Folder(family), "tl_state_dict_processed.safetensors"));
        using var ours = ModelLoader.Load(Folder(family));
        Compare(processed, ours, 1e-5);
    }

    [Theory, MemberData(nameof(Converted))]
    public void A_TransformerLens_state_dict_loads_as_the_same_model(string family)
    {
        using var golden = new Golden(Path.Combine(Folder(family), "golden.safetensors"));
        using var model = ModelLoader.Load(Path.Combine(Folder(family), "tl_state_dict.safetensors"), new LoadOptions { Processing = ProcessingOptions.None });
        using var run = PlanRunner.Run(model, new Plan { Rows = Row.From(golden.Rows("input_ids")), Outputs = Outputs.AllLogits });
        golden.Near("hf.logits", run.Logits!, Tolerance);
    }

    // As the goldens were made.
    private static ModelFlags Flags(TransformerModel model) => new()
    {
        UseHookMlpIn = model.Config.HasMlp, UseAttnResult = !model.Config.HasMlp, UseSplitQkvInput = !model.Config.HasMlp,
    };

    private static void Compare(Golden golden, TransformerModel model, double tolerance)
    {
        using var scope = NewDisposeScope();
        Assert.Equal(golden.Names.Order(), model.StateDict.Names.Order());
        foreach (var name in golden.Names) golden.Near(name, model.StateDict[name], tolerance);
    }
}
