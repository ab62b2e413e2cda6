using InteropInterp.Models;
using InteropInterp.Native.Operators;
using InteropInterp.Plans.Execution;
using InteropInterp.Protocol.Tensors;
using InteropInterp.Protocol.V1;
using static InteropInterp.Protocol.Tests.Handlers.InProcess;
using static TorchSharp.torch;

namespace InteropInterp.Protocol.Tests.Handlers;

public class RunHandlersTests
{
    private const string Point = "blocks.1.hook_resid_pre";

    private static readonly Row[] Rows = [Row(3, 1, 20, 7), Row(9, 9, 2, 14)];

    private static RunPlanRequest Logits(string model, params Intervention[] interventions) => new()
    {
        Model = model,
        Plan = new Plan { Rows = { Rows }, Outputs = new Outputs { Logits = LogitsWanted.All }, Interventions = { interventions }, Captures = { new Capture { Point = Point } } },
    };

    [Fact]
    public void A_plan_gives_the_numbers_that_the_engine_gives_and_by_reference()
    {
        using var client = new InProcess();
        var response = client.Call<RunPlanResponse>(Logits(client.Model()));
        Assert.NotNull(response.Logits.Ref);
        using var scope = NewDisposeScope();
        using var model = ModelLoader.Random(TinyModel.Config);
        using var direct = InteropInterp.Plans.PlanRunner.Run(model, new InteropInterp.Plans.Plan
        {
            Rows = InteropInterp.Plans.Row.From([[3, 1, 20, 7], [9, 9, 2, 14]]), Outputs = InteropInterp.Plans.Outputs.AllLogits, Captures = [new(Point)],
        });
        Assert.Equal(direct.Logits!.data<float>().ToArray(), client.Floats(response.Logits));
        var capture = Assert.Single(response.Captures);
        Assert.Equal((Point, 0), (capture.Name, response.Offsets[1]));
        Assert.Equal(direct[Point].data<float>().ToArray(), client.Floats(capture.Tensor));
    }

    [Fact]
    public void A_function_sees_the_activation_and_edits_it_in_its_own_memory()
    {
        using var client = new InProcess();
        var model = client.Model();
        var seen = new List<HookCall>();
        var zero = client.Function<HookCall>(call =>
        {
            seen.Add(call);
            using var scope = NewDisposeScope();
            client.Get(call.Activation).zero_();
            return null;
        });
        var edited = client.Call<RunPlanResponse>(Logits(model, new Intervention { Point = Point, Callback = new CallbackOp { Id = zero } }));
        var declared = client.Call<RunPlanResponse>(Logits(model, new Intervention { Point = Point, Zero = new ZeroOp() }));
        Assert.Equal(client.Floats(declared.Logits), client.Floats(edited.Logits));
        var hook = Assert.Single(seen);
        Assert.Equal((Point, 1, 0), (hook.Point, hook.Layer, hook.Step));
        Assert.Equal([2L, 4L, 16L], hook.Activation.Shape);
        Assert.Equal(2, Assert.Single(edited.Fired).Count);
        // It was lent for the call alone.
        Assert.Equal("UNKNOWN_TENSOR", client.Refused(new GetTensorRequest { Name = hook.Activation.Name }));
    }

    [Fact]
    public void A_function_may_give_another_tensor_which_is_then_the_engines()
    {
        using var client = new InProcess();
        var model = client.Model();
        string? given = null;
        var replace = client.Function<HookCall>(call =>
        {
            using var scope = NewDisposeScope();
            given = client.Tensors.Add(client.Session, Ops.Full([2, 4, 16], 0.5, ScalarType.Float32)).Name;
            return new HookReply { Replacement = new TensorRef { Name = given } };
        });
        var replaced = client.Call<RunPlanResponse>(Logits(model, new Intervention { Point = Point, Callback = new CallbackOp { Id = replace } }));
        var declared = client.Call<RunPlanResponse>(Logits(model, new Intervention { Point = Point, Set = new SetOp { Value = Value(0.5f) } }));
        Assert.Equal(client.Floats(declared.Logits), client.Floats(replaced.Logits));
        Assert.Equal("UNKNOWN_TENSOR", client.Refused(new GetTensorRequest { Name = given! }));
        var wrong = client.Function<HookCall>(_ =>
        {
            using var scope = NewDisposeScope();
            return new HookReply { Replacement = new TensorRef { Name = client.Tensors.Add(client.Session, zeros(2, 3)).Name } };
        });
        Assert.Equal("CALLBACK_SHAPE", client.Refused(Logits(model, new Intervention { Point = Point, Callback = new CallbackOp { Id = wrong } })));
    }

    [Fact]
    public void A_function_may_call_the_engine_again_and_even_close_the_model()
    {
        using var client = new InProcess();
        var model = client.Model();
        var expected = client.Floats(client.Call<RunPlanResponse>(Logits(model)).Logits);
        float[] inner = [];
        var nested = client.Function<HookCall>(_ =>
        {
            inner = client.Floats(client.Call<RunPlanResponse>(Logits(model)).Logits);
            client.Call<CloseModelResponse>(new CloseModelRequest { Name = model });
            return null;
        });
        var outer = client.Call<RunPlanResponse>(Logits(model, new Intervention { Point = Point, Callback = new CallbackOp { Id = nested } }));
        Assert.Equal(expected, inner);
        Assert.Equal(expected, client.Floats(outer.Logits));
        Assert.Equal("MODEL_CLOSED", client.Refused(Logits(model)));
        Assert.Equal(0, client.Models.Count);
    }

    [Fact]
    public void What_a_function_throws_ends_the_run_and_leaves_the_model_usable()
    {
        using var client = new InProcess();
        var model = client.Model();
        var before = client.Floats(client.Call<RunPlanResponse>(Logits(model)).Logits);
        var held = client.Tensors.Count;
        var fails = client.Function<HookCall>(_ => throw new InterpException(ErrorCode.Cancelled, "CALLBACK_FAILED", "It raised."));
        Assert.Equal("CALLBACK_FAILED", client.Refused(Logits(model, new Intervention { Point = Point, Callback = new CallbackOp { Id = fails } })));
        Assert.Equal(held, client.Tensors.Count);
        Assert.Equal(before, client.Floats(client.Call<RunPlanResponse>(Logits(model)).Logits));
    }

    [Fact]
    public void Functions_of_a_client_far_away_are_refused_with_what_there_is_instead()
    {
        using var client = new InProcess(hasCallbacks: false);
        var model = client.Model();
        var error = client.Error(Logits(model, new Intervention { Point = Point, Callback = new CallbackOp { Id = 1 } }));
        Assert.Equal((ErrorCode.Unimplemented, "CALLBACK_NOT_HERE", "plan.interventions[0].callback"), (error.Code, error.Reason, error.Field));
        foreach (var op in new[] { "zero", "mean", "set", "patch_from", "add", "scale", "project", "splice", "feature", "steer", "noise" }) Assert.Contains(op, error.Message);
        Assert.Contains("CallbackSweep", client.Error(Sweep(model, new Sweep { Callback = new CallbackOp { Id = 1 } })).Message);
        Assert.Equal("CALLBACK_NOT_HERE", client.Refused(new RunPlanRequest { Model = model, Plan = new Plan { Rows = { Rows } }, ProgressCallback = 1 }));
    }

    private static RunSweepRequest Sweep(string model, Sweep sweep)
    {
        sweep.Base = new Plan { Rows = { Rows } };
        sweep.Grid = "resid_pre";
        sweep.Run = new Plan { Rows = { Row(3, 1, 21, 7), Row(9, 8, 2, 14) } };
        return new RunSweepRequest { Model = model, Sweep = sweep };
    }

    [Fact]
    public void A_metric_of_the_client_is_asked_for_each_cell_and_gives_the_declared_ones_numbers()
    {
        using var client = new InProcess();
        var model = client.Model();
        var declared = client.Call<RunSweepResponse>(Sweep(model, new Sweep { Declared = new Metric { LogitDiff = new LogitDiffMetric { Correct = { 3 }, Incorrect = { 8 } } } }));
        Assert.Equal([3, 4], declared.Shape);
        Assert.Equal(["layer", "pos"], declared.Axes);
        Assert.Equal(24, declared.PerRow.Count);
        var (calls, probes) = (0, 0);
        var metric = client.Function<MetricCall>(call =>
        {
            (calls, probes) = (calls + 1, probes + (call.IsProbe ? 1 : 0));
            using var scope = NewDisposeScope();
            var last = client.Get(call.Logits).select(1, -1);
            return new MetricReply { Value = (last.select(1, 3) - last.select(1, 8)).mean().item<float>() };
        });
        var progress = new List<Progress>();
        var request = Sweep(model, new Sweep { Callback = new CallbackOp { Id = metric } });
        request.ProgressCallback = client.Function<StreamSweepResponse>(told =>
        {
            progress.Add(told.Progress);
            return null;
        });
        var asked = client.Call<RunSweepResponse>(request);
        Assert.Equal((14, 1), (calls, probes));
        Assert.Equal(declared.Baseline, asked.Baseline, 1e-6);
        for (var i = 0; i < 12; i++) Assert.Equal(declared.Values[i], asked.Values[i], 1e-6);
        Assert.Empty(asked.PerRow);
        Assert.Equal((12L, 12L), (progress[^1].Done, progress[^1].Total));
    }

    [Fact]
    public void Numbers_of_cells_are_told_as_they_become_known_and_are_all_of_the_result()
    {
        using var client = new InProcess();
        var request = Sweep(client.Model(), new Sweep { Declared = new Metric { LogProb = new LogProbMetric { Tokens = { 3 } } }, MoreMetrics = { new Metric { Loss = new LossMetric() } } });
        request.Sweep.Run = null;
        request.Sweep.Corruptions = new CorruptionSource
        {
            Corruptions =
            {
                new Corruption { Name = "prompts", Run = new Plan { Rows = { Row(3, 1, 21, 7), Row(9, 8, 2, 14) } } },
                new Corruption { Name = "noise", Noise = new GaussianNoise { Where = new Selector { Positions = new Positions { Indices = new IndexList { Values = { 1 } } } } } },
            },
        };
        request.PartialResults = true;
        var portions = new List<SweepPortion>();
        request.ProgressCallback = client.Function<StreamSweepResponse>(told =>
        {
            if (told.Portion is { } portion) portions.Add(portion);
            return null;
        });
        var result = client.Call<RunSweepResponse>(request);
        Assert.Equal(["direction", "corruption", "layer", "pos"], result.Axes);
        Assert.Equal([2, 2, 3, 4], result.Shape);
        Assert.Equal(["prompts", "noise"], result.Corruptions);
        Assert.Equal([(int)PatchDirection.Denoising, (int)PatchDirection.Noising], result.Indices[0].Values);
        Assert.Equal((result.Shape, result.Axes, result.Indices), (portions[0].Outline.Shape, portions[0].Outline.Axes, portions[0].Outline.Indices));
        Assert.All(portions.Skip(1), portion => Assert.Null(portion.Outline));
        Assert.Equal(Enumerable.Range(0, 48), portions.SelectMany(p => p.Cells).Order());
        Assert.True(portions.Count > 8, $"{portions.Count} portions");
        foreach (var portion in portions)
            for (var i = 0; i < portion.Cells.Count; i++)
            {
                Assert.Equal(result.Values[portion.Cells[i]], portion.Metrics[0].Values[i]);
                Assert.Equal(result.More[0].PerRow[portion.Cells[i] * 2 + 1], portion.Metrics[1].PerRow[i * 2 + 1]);
            }
        Assert.Equal(result.Ends, portions[^1].Metrics[0].Ends);
        Assert.Equal(result.More[0].Ends, portions[^1].Metrics[1].Ends);
    }

    [Fact]
    public void Steps_and_new_tokens_are_told_as_they_come()
    {
        using var client = new InProcess();
        var told = new List<StreamPlanResponse>();
        var response = client.Call<RunPlanResponse>(new RunPlanRequest
        {
            Model = client.Model(), Plan = new Plan { Rows = { Rows }, Generation = new V1.Generation { MaxNewTokens = 5 } },
            ProgressCallback = client.Function<StreamPlanResponse>(message =>
            {
                told.Add(message);
                return null;
            }),
        });
        var tokens = told.Where(t => t.NewTokens is not null).Select(t => t.NewTokens).ToList();
        Assert.Equal(5, tokens.Count);
        Assert.All(tokens, t => Assert.Equal(0, t.FirstRow));
        for (var row = 0; row < 2; row++) Assert.Equal(response.Tokens[row].Tokens.Skip(4), tokens.Select(t => t.Tokens[row]));
        Assert.Equal([1L, 2L, 3L, 4L, 5L], told.Where(t => t.Progress is not null).Select(t => t.Progress.Done));
        Assert.Equal(5, told[^1].Progress.Total);
    }

    [Fact]
    public void Small_results_of_a_client_far_away_come_as_values()
    {
        using var client = new InProcess(hasCallbacks: false);
        var request = Logits(client.Model());
        Assert.Equal(2 * 4 * 29 * 4, client.Call<RunPlanResponse>(request).Logits.Value.Data.Length);
        request.InlineLimitBytes = 600;
        var response = client.Call<RunPlanResponse>(request);
        Assert.NotNull(response.Logits.Ref);
        Assert.NotNull(response.Captures[0].Tensor.Value);
        Assert.Equal(1, client.Tensors.Count);
    }

    [Fact]
    public void What_would_pass_the_quota_or_the_memory_is_refused_before_it_runs()
    {
        using var client = new InProcess(new TensorStoreOptions { SessionBytes = 1200 });
        var model = client.Model();
        var runs = 0;
        var counts = client.Function<HookCall>(_ =>
        {
            runs++;
            return null;
        });
        var hook = new Intervention { Point = Point, Callback = new CallbackOp { Id = counts } };
        Assert.Equal("TENSOR_QUOTA", client.Refused(Logits(model, hook)));
        Assert.Equal(0, runs);
        var small = new RunPlanRequest { Model = model, Plan = new Plan { Rows = { Rows }, Outputs = new Outputs { Logits = LogitsWanted.Last } } };
        client.Call<RunPlanResponse>(small);
        using var tight = new InProcess(execution: new ExecutionOptions { MemoryLimit = 1000 });
        Assert.Equal("PLAN_TOO_LARGE", tight.Refused(Logits(tight.Model())));
        Assert.Equal("SWEEP_TOO_LARGE", tight.Refused(Sweep(tight.Model(), new Sweep { Declared = new Metric { Loss = new LossMetric() } })));
    }

    [Fact]
    public void A_dry_run_says_what_a_plan_costs_and_runs_nothing()
    {
        using var client = new InProcess();
        var model = client.Model();
        var request = Logits(model, new Intervention { Point = "blocks.*.hook_mlp_out", Scale = new ScaleOp { Factor = 2 } });
        var report = client.Call<CheckPlanResponse>(new CheckPlanRequest { Model = model, Plan = request.Plan });
        Assert.True(report.Flops > 1000 && report.WorkingBytes > 0);
        Assert.Equal(2 * 4 * (29 + 16) * 4, report.ResultBytes);
        Assert.Equal(["blocks.0.hook_mlp_out", "blocks.1.hook_mlp_out", "blocks.2.hook_mlp_out"], Assert.Single(report.Points).Points);
        Assert.Equal([2L, 4L, 16L], Assert.Single(report.Captures).Shape);
        Assert.Equal(0, client.Tensors.Count);
    }

    [Fact]
    public void Gradients_and_tensors_that_the_client_holds_go_through()
    {
        using var client = new InProcess();
        var model = client.Model();
        using var scope = NewDisposeScope();
        var direction = client.Tensors.Add(client.Session, Ops.Full([16], 0.1, ScalarType.Float32));
        var response = client.Call<RunPlanResponse>(new RunPlanRequest
        {
            Model = model,
            Plan = new Plan
            {
                Rows = { Rows }, Objective = new Objective { Metric = new Metric { LogProb = new LogProbMetric { Tokens = { 4 } } } },
                Captures = { new Capture { Point = Point, Gradient = true, Name = "g" } },
                Interventions = { new Intervention { Point = "hook_embed", Add = new AddOp { Value = new V1.Tensor { Ref = new TensorRef { Name = direction.Name } } } } },
            },
        });
        Assert.Contains(client.Floats(response.Captures.Single(c => c.Name == "g").Tensor), g => g != 0);
        Assert.Equal(2, client.Floats(response.Metric).Length);
        Assert.Equal("UNKNOWN_TENSOR", client.Refused(Logits(model, new Intervention { Point = Point, Set = new SetOp { Value = new V1.Tensor { Ref = new TensorRef { Name = "tensors/999" } } } })));
    }
}
