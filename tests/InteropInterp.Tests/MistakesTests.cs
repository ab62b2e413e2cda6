using System.Text.Json;
using InteropInterp.Caches;
using InteropInterp.Circuits;
using InteropInterp.Circuits.Weights;
using InteropInterp.Generation;
using InteropInterp.Heads;
using InteropInterp.Models;
using InteropInterp.Patching;
using InteropInterp.Plans;
using InteropInterp.Plans.Interventions;
using InteropInterp.Plans.Metrics;
using static TorchSharp.torch;

namespace InteropInterp.Tests;

/// <summary>
/// The mistakes that people make with TransformerLens, most of them silent there: each that can be made in C# gets an error that
/// names the thing and the way out, and leaves the model usable.
/// </summary>
public class MistakesTests
{
    private static readonly Row[] Rows = [new([3, 1, 4, 1, 5])];

    /// <param name="Says">What the message must hold: the thing, and the way out.</param>
    private sealed record Answer(ErrorCode Code, string Reason, string[] Says, Action<HookedTransformer> Make);

    private static Answer Of(ErrorCode code, string reason, string[] says, Action<HookedTransformer> make) => new(code, reason, says, make);

    private static Action<HookedTransformer> Edit(string point, InterventionOp? op = null) =>
        model => model.Run(new Plan { Rows = Rows, Interventions = [new Intervention(point, op ?? new ZeroOp())] }).Dispose();

    private static Action<HookedTransformer> Returning(Func<Tensor, Tensor> hook) => Edit("blocks.0.hook_resid_pre", new CallbackOp((a, _) => hook(a)));

    private static Action<HookedTransformer> Permanently(string point) => model =>
    {
        model.PermanentInterventions.Add(new Intervention(point, new ZeroOp()));
        try
        {
            model.Run(new Plan { Rows = Rows }).Dispose();
        }
        finally
        {
            model.PermanentInterventions.Clear();
        }
    };

    private static Action<HookedTransformer> Run(params int[] tokens) => model => model.Run(new Plan { Rows = [new Row(tokens)], Outputs = Outputs.AllLogits }).Dispose();

    private static Action<HookedTransformer> Cache(Action<ActivationCache> use) => model =>
    {
        using var cache = ActivationCache.Run(model, Rows);
        use(cache);
    };

    private static Action<HookedTransformer> Patch(SweepSource source) => model => model.Sweep(new Sweep
    {
        Base = new Plan { Rows = Rows }, Grid = SweepGrid.Of("resid_pre"), Source = source, Metric = new LogitDiff([1], [2]),
    });

    private static Action<HookedTransformer> Embedded(Action<HookedTransformer> use) => _ =>
    {
        using var model = HookedTransformer.FromPretrained("induction");
        use(model);
    };

    private static void WrongShape(HookedTransformer model)
    {
        using var scope = NewDisposeScope();
        var weights = model.Weights.Names.ToDictionary(name => name, name => model.Weights[name]);
        weights["blocks.0.attn.W_Q"] = zeros(4, 16, 5);
        ModelLoader.FromStateDict(model.Config, weights).Dispose();
    }

    private static readonly Dictionary<string, Answer> Answers = new()
    {
        ["run_with_hooks with an unknown hook name"] = Of(ErrorCode.NotFound, "UNKNOWN_HOOK_POINT", ["blocks.0.attn.hook_zz", "'blocks.0.attn.hook_z'"], Edit("blocks.0.attn.hook_zz")),
        ["add_hook with an unknown name"] = Of(ErrorCode.NotFound, "UNKNOWN_HOOK_POINT", ["blocks.9.hook_resid_pre", "Did you mean"], Permanently("blocks.9.hook_resid_pre")),
        ["add_hook with a filter that matches nothing"] = Of(ErrorCode.NotFound, "UNKNOWN_HOOK_POINT", ["*hook_nothing"], Permanently("*hook_nothing")),
        ["names_filter with an unknown name"] = Of(ErrorCode.NotFound, "UNKNOWN_HOOK_POINT", ["blocks.0.nope", "more"], m => m.RunWithCache(Rows, "blocks.0.nope").Dispose()),
        ["cache lookup of an unknown name"] = Of(ErrorCode.NotFound, "UNKNOWN_HOOK_POINT", ["blocks.0.nope", "'hook_embed'", "more"], Cache(c => _ = c["blocks.0.nope"])),
        ["cache lookup of a layer that does not exist"] = Of(ErrorCode.OutOfRange, "LAYER_OUT_OF_RANGE", ["99"], Cache(c => _ = c["resid_pre", 99])),
        ["hook returns a wrong shape (drops a position)"] = Of(ErrorCode.InvalidArgument, "CALLBACK_SHAPE", ["blocks.0.hook_resid_pre", "[1, 4, 16]", "[1, 5, 16]"], Returning(a => a.narrow(1, 0, 4))),
        ["hook returns a wrong shape that broadcasts"] = Of(ErrorCode.InvalidArgument, "CALLBACK_SHAPE", ["[1, 1, 16]", "[1, 5, 16]"], Returning(a => a.narrow(1, 0, 1))),
        ["hook returns a wrong d_model"] = Of(ErrorCode.InvalidArgument, "CALLBACK_SHAPE", ["[1, 5, 7]", "[1, 5, 16]"], Returning(a => a.narrow(2, 0, 7))),
        ["token id out of range"] = Of(ErrorCode.OutOfRange, "TOKEN_OUT_OF_RANGE", ["token id 5000", "0 to 39"], Run(3, 5000)),
        ["negative token id"] = Of(ErrorCode.OutOfRange, "TOKEN_OUT_OF_RANGE", ["token id -1", "0 to 39"], Run(3, -1)),
        ["sequence longer than n_ctx (tokens)"] = Of(ErrorCode.OutOfRange, "SEQUENCE_TOO_LONG", ["25 tokens", "n_ctx is 24"], Run(new int[25])),
        ["sequence longer than n_ctx (string)"] = Of(ErrorCode.OutOfRange, "SEQUENCE_TOO_LONG", ["n_ctx"], Embedded(m => m.RunWithCache(new string('a', 1000), "hook_embed").Dispose())),
        ["empty tokens"] = Of(ErrorCode.InvalidArgument, "EMPTY_ROW", ["Row 0"], Run()),
        ["string to a model without tokenizer"] = Of(ErrorCode.FailedPrecondition, "NO_TOKENIZER", ["token ids instead of text"], m => m.RunWithCache("text").Dispose()),
        ["hook_result without use_attn_result"] = Of(ErrorCode.FailedPrecondition, "HOOK_POINT_SILENT", ["hook_result", "use_attn_result"], Edit("blocks.0.attn.hook_result")),
        ["add_hook on hook_result without use_attn_result"] = Of(ErrorCode.FailedPrecondition, "HOOK_POINT_SILENT", ["hook_result", "use_attn_result"], Permanently("blocks.0.attn.hook_result")),
        ["caching hook_result without use_attn_result"] = Of(ErrorCode.FailedPrecondition, "HOOK_POINT_SILENT", ["hook_result", "use_attn_result"], m => m.RunWithCache(Rows, "blocks.0.attn.hook_result").Dispose()),
        ["hook_q_input without use_split_qkv_input"] = Of(ErrorCode.FailedPrecondition, "HOOK_POINT_SILENT", ["hook_q_input", "use_split_qkv_input"], Edit("blocks.0.hook_q_input")),
        ["layer index out of range in stop_at_layer"] = Of(ErrorCode.OutOfRange, "LAYER_OUT_OF_RANGE", ["stop_at_layer is 99", "3"], m => m.Run(new Plan { Rows = Rows, StopAtLayer = 99 }).Dispose()),
        ["decompose_resid(layer=99)"] = Of(ErrorCode.OutOfRange, "LAYER_OUT_OF_RANGE", ["99"], Cache(c => c.DecomposeResidual(new StackOptions { Layer = 99 }))),
        ["to_single_token of two tokens"] = Of(ErrorCode.InvalidArgument, "NOT_A_SINGLE_TOKEN", ["'ab'", "'a', 'b'"], Embedded(m => m.Tokenizer.ToSingleToken("ab"))),
        ["get_token_position of an absent token"] = Of(ErrorCode.NotFound, "TOKEN_ABSENT", ["'z'", "does not occur"], Embedded(m => m.Tokenizer.GetTokenPosition("z", "abc"))),
        ["from_pretrained of an unknown model"] = Of(ErrorCode.NotFound, "MODEL_NOT_FOUND", ["not-a-model", "Nothing is downloaded"], _ => HookedTransformer.FromPretrained("not-a-model").Dispose()),
        ["move to a missing device"] = Of(ErrorCode.FailedPrecondition, "DEVICE_NOT_PRESENT", ["cuda:7", "cpu"], _ => HookedTransformer.FromPretrained("induction", new LoadOptions { Device = "cuda:7" }).Dispose()),
        ["patching with prompts of different length"] = Of(ErrorCode.InvalidArgument, "PROMPTS_OF_DIFFERENT_LENGTH", ["5 tokens", "2"], Patch(new SweepFromRun(new Plan { Rows = [new Row([1, 2])] }))),
        ["clean_cache is missing the activation"] = Of(ErrorCode.NotFound, "CACHE_LACKS_ACTIVATION", ["blocks.0.hook_resid_pre"], Patch(new SweepFromCache(new Dictionary<string, Tensor>()))),
        ["logit_attrs with a string of two tokens"] = Of(ErrorCode.InvalidArgument, "NOT_A_SINGLE_TOKEN", ["'ab'"], Embedded(m => m.AttributeLogits(
            new Plan { Rows = m.ToRows("abc") }, new DirectLogitAttributionOptions([m.Tokenizer.ToSingleToken("ab")])))),
        ["loss on a one-token sequence"] = Of(ErrorCode.InvalidArgument, "LOSS_NEEDS_TWO_TOKENS", ["Row 0"], m => m.Run(new Plan { Rows = [new Row([1])], Outputs = new Outputs { Loss = true } }).Dispose()),
        ["FactoredMatrix inner dims differ"] = Of(ErrorCode.InvalidArgument, "FACTORS_DO_NOT_MATCH", ["[3, 4]", "[5, 6]"], m => _ = new FactoredMatrix(zeros(3, 4), zeros(5, 6))),
        // A row that fills the context is none: what is wrong is one token more.
        ["detect_head on a sequence of exactly n_ctx tokens"] = Of(ErrorCode.OutOfRange, "SEQUENCE_TOO_LONG", ["25 tokens", "n_ctx is 24"], m =>
        {
            Assert.Equal(3, HeadDetector.Detect(m.Model, [new Row(new int[24])], "previous_token_head").Length);
            HeadDetector.Detect(m.Model, [new Row(new int[25])], "previous_token_head");
        }),
        ["detect_head with an unknown name"] = Of(ErrorCode.NotFound, "UNKNOWN_HEAD_KIND", ["nope_head", "previous_token_head"], m => HeadDetector.Detect(m.Model, Rows, "nope_head")),
        ["generate with max_new_tokens past n_ctx"] = Of(ErrorCode.OutOfRange, "SEQUENCE_TOO_LONG", ["max_new_tokens is 30", "24"], m => m.Run(new Plan { Rows = Rows, Generation = new GenerationOptions { MaxNewTokens = 30 } }).Dispose()),
        ["config without act_fn"] = Of(ErrorCode.InvalidArgument, "INVALID_CONFIG", ["act_fn", "attn_only"], m => HookedTransformer.FromConfig(m.Config with { Activation = null }).Dispose()),
        ["config with d_model not divisible by d_head"] = Of(ErrorCode.InvalidArgument, "INVALID_CONFIG", ["d_model (10)", "d_head (4)", "n_heads"], m => HookedTransformer.FromConfig(m.Config with { ModelWidth = 10, HeadCount = -1 }).Dispose()),
        ["load_state_dict with a wrong shape"] = Of(ErrorCode.DataLoss, "WEIGHT_SHAPE", ["blocks.0.attn.W_Q", "[4, 16, 5]", "[4, 16, 4]"], WrongShape),
    };

    private const string Compiler = "the compiler refuses it";

    private static readonly Dictionary<string, string> Impossible = new()
    {
        ["hook without the hook= argument"] = Compiler,
        ["hook returns a non-tensor"] = Compiler,
        ["float tokens"] = Compiler,
        ["tokens on another device (meta)"] = "tokens are numbers, not tensors",
        ["patching metric returns a vector"] = Compiler,
        ["return_type unknown"] = "Outputs names what is wanted, field by field",
    };

    public static TheoryData<string> Names => [.. Answers.Keys];

    [Theory, MemberData(nameof(Names))]
    public void It_gets_an_answer_that_names_the_thing_and_leaves_the_model_usable(string mistake)
    {
        using var model = HookedTransformer.FromConfig(TinyModels.Config("gpt2"));
        var (code, reason, says, make) = Answers[mistake];
        var error = Assert.Throws<InterpException>(() =>
        {
            using var scope = NewDisposeScope();
            make(model);
        });
        Assert.Equal((code, reason), (error.Code, error.Reason));
        foreach (var part in says) Assert.Contains(part, error.Message, StringComparison.Ordinal);
        using var run = model.Run(new Plan { Rows = Rows, Outputs = Outputs.AllLogits });
        Assert.Equal([1, 5, 40], run.Logits!.shape);
    }

    [Fact]
    public void Every_mistake_that_was_seen_is_here_or_cannot_be_made()
    {
        using var file = JsonDocument.Parse(File.ReadAllText(SharedFolder.Path("fixtures", "analysis", "errors.json")));
        var seen = file.RootElement.EnumerateArray().Select(e => e.GetProperty("mistake").GetString()!);
        Assert.Equal(seen.Order(StringComparer.Ordinal), Answers.Keys.Concat(Impossible.Keys).Order(StringComparer.Ordinal));
    }
}
