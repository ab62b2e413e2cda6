using InteropInterp.Generation;
using InteropInterp.Models;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using InteropInterp.Plans.Interventions;
using InteropInterp.Plans.Metrics;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Plans;

/// <summary>Bad plans are refused before they run, naming the thing, and leave the model usable.</summary>
public class RefusalTests
{
    private static readonly Row[] Rows = [new([3, 1, 4, 1, 5]), new([9, 2, 6, 5, 3])];

    private static Plan Edit(string point, InterventionOp op, Selector? where = null) => new()
    {
        Rows = Rows, Interventions = [new(point, op) { Where = where ?? Selector.All }],
    };

    private static readonly Dictionary<string, (string Reason, string Names, Func<Plan> Make)> Bad = new()
    {
        ["no rows"] = ("NO_ROWS", "no rows", () => new Plan()),
        ["empty row"] = ("EMPTY_ROW", "Row 1", () => new Plan { Rows = [new([1]), new([])] }),
        ["token too large"] = ("TOKEN_OUT_OF_RANGE", "Row 0, position 1: token id 40", () => new Plan { Rows = [new([1, 40])] }),
        ["negative token"] = ("TOKEN_OUT_OF_RANGE", "token id -1", () => new Plan { Rows = [new([-1])] }),
        ["too long"] = ("SEQUENCE_TOO_LONG", "n_ctx is 24", () => new Plan { Rows = [new(new int[25])] }),
        ["mask length"] = ("MASK_LENGTH", "3 entries for 2 tokens", () => new Plan { Rows = [new Row([1, 2]) { Mask = [true, true, true] }] }),
        ["mask empty"] = ("MASK_EMPTY", "Row 0", () => new Plan { Rows = [new Row([1, 2]) { Mask = [false, false] }] }),
        ["stop layer"] = ("LAYER_OUT_OF_RANGE", "stop_at_layer is 99", () => new Plan { Rows = Rows, StopAtLayer = 99 }),
        ["start without residual"] = ("START_NEEDS_RESIDUAL", "start_at_layer", () => new Plan { Rows = Rows, StartAtLayer = 1 }),
        ["residual width"] = ("RESIDUAL_SHAPE", "[2, 5, 7]", () => new Plan { Residual = zeros(2, 5, 7), StartAtLayer = 1 }),
        ["loss of one token"] = ("LOSS_NEEDS_TWO_TOKENS", "Row 0", () => new Plan { Rows = [new([1])], Outputs = new Outputs { Loss = true } }),
        ["logits behind a stop"] = ("STOPS_BEFORE_LOGITS", "layer 1", () => new Plan { Rows = Rows, StopAtLayer = 1, Outputs = Outputs.AllLogits }),
        ["head"] = ("HEAD_OUT_OF_RANGE", "head 4 is out of range: there are 4", () => Edit("blocks.0.attn.hook_z", new ZeroOp(), new Selector { Heads = Positions.At(4) })),
        ["position"] = ("POSITION_OUT_OF_RANGE", "position 5", () => Edit("blocks.0.attn.hook_z", new ZeroOp(), new Selector { Positions = Positions.At(5) })),
        ["row"] = ("ROW_OUT_OF_RANGE", "row -3", () => Edit("blocks.0.attn.hook_z", new ZeroOp(), new Selector { Rows = Positions.At(-3) })),
        ["neuron"] = ("INDEX_OUT_OF_RANGE", "index 64", () => Edit("blocks.0.mlp.hook_post", new ZeroOp(), new Selector { Last = Positions.At(64) })),
        ["no heads there"] = ("NO_HEAD_AXIS", "has no heads", () => Edit("blocks.0.hook_resid_pre", new ZeroOp(), new Selector { Heads = Positions.At(0) })),
        ["empty slice"] = ("SELECTS_NOTHING", "no positions", () => Edit("blocks.0.hook_resid_pre", new ZeroOp(), new Selector { Positions = Positions.Slice(3, 2) })),
        ["value shape"] = ("VALUE_SHAPE", "[3, 16]", () => Edit("blocks.0.hook_resid_pre", new SetOp(zeros(3, 16)))),
        ["directions"] = ("VALUE_SHAPE", "[2, 5]", () => Edit("blocks.0.hook_resid_pre", new ProjectOp(zeros(2, 5)))),
        ["source name"] = ("UNKNOWN_SOURCE", "'claen'", () => Edit("blocks.0.hook_resid_pre", new PatchFromOp("claen")) with { Sources = new Dictionary<string, Plan> { ["clean"] = new() { Rows = Rows } } }),
        ["source rows"] = ("SOURCE_ROWS", "3 rows", () => Edit("blocks.0.hook_resid_pre", new PatchFromOp("clean")) with { Sources = new Dictionary<string, Plan> { ["clean"] = new() { Rows = [.. Rows, Rows[0]] } } }),
        ["gradient of nothing"] = ("GRADIENT_NEEDS_OBJECTIVE", "objective", () => new Plan { Rows = Rows, Captures = [new Capture("blocks.0.hook_resid_pre") { Gradient = true }] }),
        ["metric behind a stop"] = ("METRIC_NEEDS_LOGITS", "layer 1", () => new Plan { Rows = Rows, StopAtLayer = 1, Objective = new Objective { Metric = new Loss() } }),
        ["metric token"] = ("TOKEN_OUT_OF_RANGE", "correct token 99", () => new Plan { Rows = Rows, Objective = new Objective { Metric = new LogitDiff([99], [1]) } }),
        ["cotangent"] = ("COTANGENT_SHAPE", "[2, 5, 16]", () => new Plan { Rows = Rows, Objective = new Objective { Cotangents = new Dictionary<string, Tensor> { ["blocks.0.hook_resid_pre"] = zeros(2, 4, 16) } } }),
        ["twice"] = ("CAPTURE_NAME_TWICE", "hook_embed", () => new Plan { Rows = Rows, Captures = [new Capture("hook_embed"), new Capture("hook_e*")] }),
        ["generation past the context"] = ("SEQUENCE_TOO_LONG", "max_new_tokens is 20", () => new Plan { Rows = Rows, Generation = new GenerationOptions { MaxNewTokens = 20 } }),
        ["sampling"] = ("INVALID_SAMPLING", "top_k and top_p", () => new Plan { Rows = Rows, Generation = new GenerationOptions { TopK = 2, TopP = .5 } }),
        ["pattern in generation"] = ("CAPTURE_IN_GENERATION", "grow", () => new Plan { Rows = Rows, Generation = new GenerationOptions(), Captures = [new Capture("blocks.0.attn.hook_pattern")] }),
        ["step"] = ("STEP_OUT_OF_RANGE", "step 12", () => Edit("blocks.0.hook_resid_pre", new ZeroOp(), new Selector { FromStep = 12 }) with { Generation = new GenerationOptions { MaxNewTokens = 3 } }),
        ["callback selector"] = ("CALLBACK_SELECTOR", "select within it", () => Edit("blocks.0.hook_resid_pre", new CallbackOp((_, _) => null), new Selector { Positions = Positions.At(0) })),
    };

    public static TheoryData<string> Names => [.. Bad.Keys];

    [Theory, MemberData(nameof(Names))]
    public void It_is_refused_with_its_name_and_the_model_stays_usable(string name)
    {
        using var model = TinyModels.Make("gpt2");
        using var scope = NewDisposeScope();
        var (reason, names, make) = Bad[name];
        var plan = make();
        var error = Assert.Throws<InterpException>(() => PlanRunner.Run(model, plan));
        Assert.Equal(reason, error.Reason);
        Assert.Contains(names, error.Message, StringComparison.Ordinal);
        // The dry run says the same.
        Assert.Equal(error.Message, Assert.Throws<InterpException>(() => PlanRunner.Check(model, plan)).Message);
        using var run = PlanRunner.Run(model, new Plan { Rows = Rows, Outputs = Outputs.AllLogits });
        Assert.Equal([2, 5, 40], run.Logits!.shape);
    }

    [Fact]
    public void A_plan_that_needs_more_memory_than_allowed_is_refused_with_both_numbers()
    {
        using var model = TinyModels.Make("gpt2");
        var error = Assert.Throws<InterpException>(() => PlanRunner.Run(
            model, new Plan { Rows = Rows, Captures = [new Capture("*")], Outputs = Outputs.AllLogits }, new ExecutionOptions { MemoryLimit = 1000 }));
        Assert.Equal((ErrorCode.ResourceExhausted, "PLAN_TOO_LARGE"), (error.Code, error.Reason));
    }

    [Fact]
    public void A_cancelled_run_ends_and_leaves_the_model_usable()
    {
        using var model = TinyModels.Make("gpt2");
        using var source = new CancellationTokenSource();
        var many = new Plan { Rows = [.. Enumerable.Repeat(Rows[0], 50)] };
        var error = Assert.Throws<InterpException>(() => PlanRunner.Run(
            model,
            many with
            {
                Sources = new Dictionary<string, Plan> { ["a"] = many with { Interventions = [new("blocks.1.hook_resid_pre", new CallbackOp((_, _) => { source.Cancel(); return null; }))] } },
                Interventions = [new("blocks.1.hook_resid_pre", new PatchFromOp("a"))],
            },
            cancellation: source.Token));
        Assert.Equal(ErrorCode.Cancelled, error.Code);
        using var run = PlanRunner.Run(model, new Plan { Rows = Rows, Outputs = Outputs.AllLogits });
        Assert.NotNull(run.Logits);
    }

    [Fact]
    public void A_dry_run_tells_shapes_bytes_and_operations_that_the_run_then_has()
    {
        using var model = TinyModels.Make("gpt2", ScalarType.Float32);
        var plan = new Plan
        {
            Rows = Rows,
            Outputs = Outputs.AllLogits,
            Captures = [new Capture("blocks.*.attn.hook_pattern") { Where = new Selector { Heads = Positions.At(1) } }, new Capture("blocks.1.hook_resid_post") { Where = new Selector { Positions = Positions.Slice(1, 3) } }],
            Interventions = [new("blocks.*.hook_mlp_out", new ZeroOp())],
        };
        var report = PlanRunner.Check(model, plan);
        using var run = PlanRunner.Run(model, plan);
        Assert.Equal(run.Captures.Keys.Order(), report.Captures.Keys.Order());
        foreach (var (name, tensor) in run.Captures) Assert.Equal(tensor.shape, report.Captures[name]);
        Assert.Equal(run.Captures.Values.Append(run.Logits!).Sum(t => t.numel() * t.element_size()), report.ResultBytes);
        Assert.Equal(["blocks.0.hook_mlp_out", "blocks.1.hook_mlp_out", "blocks.2.hook_mlp_out"], report.Points[0]);
        // 10 tokens, 3 layers, 12 d² + attention, and the unembedding.
        var expected = 10 * (3 * (2 * (4 * 256 + 8 * 256) + 4 * 16 * 5 * .5) + 2 * 16 * 40);
        Assert.Equal(expected, report.Flops);
    }
}
