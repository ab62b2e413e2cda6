using Google.Protobuf;
using InteropInterp.Protocol.V1;
using InteropInterp.Server.Tests.Support;
using static InteropInterp.Server.Tests.Support.TestClient;

namespace InteropInterp.Server.Tests;

/// <summary>What users get wrong: each answer has a code and a reason, names the thing, and leaves the model usable.</summary>
public class ErrorsTests
{
    private static Plan Plan(params int[] tokens) => new() { Rows = { Row(tokens) }, Outputs = new Outputs { Logits = LogitsWanted.All } };

    private static Plan With(Action<Plan> change)
    {
        var plan = Plan(1, 2, 3);
        change(plan);
        return plan;
    }

    private static Plan At(string point, Action<Intervention>? change = null)
    {
        var intervention = new Intervention { Point = point, Zero = new ZeroOp() };
        change?.Invoke(intervention);
        return With(p => p.Interventions.Add(intervention));
    }

    private static Protocol.V1.Tensor Floats(params long[] shape) => new()
    {
        Value = new TensorData { DataType = DataType.Float32, Shape = { shape }, Data = ByteString.CopyFrom(new byte[shape.Aggregate(4L, (a, b) => a * b)]) },
    };

    // (the plan, the error, what its message names).
    private static readonly Dictionary<string, (Plan Plan, ErrorCode Code, string Reason, string Names)> Mistakes = new()
    {
        ["token id out of range"] = (Plan(1, 29), ErrorCode.OutOfRange, "TOKEN_OUT_OF_RANGE", "token id 29"),
        ["negative token id"] = (Plan(-1), ErrorCode.OutOfRange, "TOKEN_OUT_OF_RANGE", "-1"),
        ["sequence longer than n_ctx"] = (Plan([.. Enumerable.Repeat(1, 25)]), ErrorCode.OutOfRange, "SEQUENCE_TOO_LONG", "n_ctx is 24"),
        ["no rows"] = (new Plan(), ErrorCode.InvalidArgument, "NO_ROWS", "no rows"),
        ["an empty row"] = (Plan(), ErrorCode.InvalidArgument, "EMPTY_ROW", "Row 0"),
        ["mask of another length"] = (With(p => p.Rows[0].Mask.Add(true)), ErrorCode.InvalidArgument, "MASK_LENGTH", "Row 0"),
        ["head out of range"] = (At("blocks.0.attn.hook_z", i => i.Where = new Selector { Heads = Index(4) }), ErrorCode.OutOfRange, "HEAD_OUT_OF_RANGE", "head 4"),
        ["position out of range"] = (At("hook_embed", i => i.Where = new Selector { Positions = Index(3) }), ErrorCode.OutOfRange, "POSITION_OUT_OF_RANGE", "position 3"),
        ["row out of range"] = (At("hook_embed", i => i.Where = new Selector { Rows = Index(1) }), ErrorCode.OutOfRange, "ROW_OUT_OF_RANGE", "row 1"),
        ["heads where there are none"] = (At("hook_embed", i => i.Where = new Selector { Heads = Index(0) }), ErrorCode.InvalidArgument, "NO_HEAD_AXIS", "hook_embed"),
        ["layer out of range"] = (With(p => p.StopAtLayer = 9), ErrorCode.OutOfRange, "LAYER_OUT_OF_RANGE", "stop_at_layer is 9"),
        ["layer that is not there"] = (At("blocks.3.hook_resid_pre"), ErrorCode.NotFound, "UNKNOWN_HOOK_POINT", "blocks.3.hook_resid_pre"),
        ["unknown hook point"] = (At("blocks.0.attn.hook_zz"), ErrorCode.NotFound, "UNKNOWN_HOOK_POINT", "Did you mean 'blocks.0.attn.hook_z'"),
        ["two captures of one name"] = (With(p => p.Captures.Add(new Capture { Point = "hook_embed" })).Also(p => p.Captures.Add(new Capture { Point = "hook_embed" })), ErrorCode.InvalidArgument, "CAPTURE_NAME_TWICE", "hook_embed"),
        ["a point whose flag is off"] = (At("blocks.0.attn.hook_result"), ErrorCode.FailedPrecondition, "HOOK_POINT_SILENT", "use_attn_result"),
        ["value of a wrong shape"] = (At("hook_embed", i => i.Set = new SetOp { Value = Floats(3, 7) }), ErrorCode.InvalidArgument, "VALUE_SHAPE", "[3, 7]"),
        ["residual of a wrong shape"] = (new Plan { Residual = Floats(1, 2, 15), StartAtLayer = 1 }, ErrorCode.InvalidArgument, "RESIDUAL_SHAPE", "[1, 2, 15]"),
        ["unknown source"] = (At("hook_embed", i => i.PatchFrom = new PatchFromOp { Source = "clean" }), ErrorCode.NotFound, "UNKNOWN_SOURCE", "clean"),
        ["gradient of nothing"] = (With(p => p.Captures.Add(new Capture { Point = "hook_embed", Gradient = true })), ErrorCode.InvalidArgument, "GRADIENT_NEEDS_OBJECTIVE", "objective"),
        ["metric's token out of range"] = (With(p => p.Objective = new Objective { Metric = new Metric { LogProb = new LogProbMetric { Tokens = { 30 } } } }), ErrorCode.OutOfRange, "TOKEN_OUT_OF_RANGE", "30"),
        ["loss of one token"] = (Plan(1).Also(p => p.Outputs.Loss = true), ErrorCode.InvalidArgument, "LOSS_NEEDS_TWO_TOKENS", "Row 0"),
        ["no new tokens"] = (With(p => p.Generation = new Protocol.V1.Generation()), ErrorCode.InvalidArgument, "INVALID_SAMPLING", "max_new_tokens is 0"),
        ["generation past n_ctx"] = (With(p => p.Generation = new Protocol.V1.Generation { MaxNewTokens = 22 }), ErrorCode.OutOfRange, "SEQUENCE_TOO_LONG", "n_ctx of 24"),
        ["a function as a hook"] = (At("hook_embed", i => i.Callback = new CallbackOp { Id = 1 }), ErrorCode.Unimplemented, "CALLBACK_NOT_HERE", "steer"),
        ["an op that is missing"] = (At("hook_embed", i => i.ClearOp()), ErrorCode.InvalidArgument, "FIELD_MISSING", "plan.interventions[0].op"),
        ["a dictionary that is not there"] = (At("hook_embed", i => i.Splice = new SpliceOp { Dictionary = "dictionaries/4" }), ErrorCode.NotFound, "UNKNOWN_DICTIONARY", "dictionaries/4"),
        ["a tensor that is not there"] = (At("hook_embed", i => i.Set = new SetOp { Value = new Protocol.V1.Tensor { Ref = new TensorRef { Name = "tensors/9" } } }), ErrorCode.NotFound, "UNKNOWN_TENSOR", "tensors/9"),
        ["a seed that changes nothing is no mistake"] = (With(p => p.Seed = ulong.MaxValue), 0, "", ""),
    };

    private static Positions Index(int index) => new() { Indices = new IndexList { Values = { index } } };

    [Fact]
    public async Task Each_mistake_in_a_plan_gets_its_answer_and_leaves_the_model_usable()
    {
        await using var server = await TestServer.Start();
        using var client = server.Connect();
        var model = await client.Model();
        var expected = (await client.Runs.RunPlanAsync(new RunPlanRequest { Model = model, Plan = Plan(1, 2, 3) })).Logits;
        foreach (var (mistake, (plan, code, reason, names)) in Mistakes)
        {
            var request = new RunPlanRequest { Model = model, Plan = plan };
            if (reason.Length == 0)
            {
                await client.Runs.RunPlanAsync(request);
                continue;
            }
            var error = await Error(client.Runs.RunPlanAsync(request));
            Assert.Equal((mistake, code, reason), (mistake, error.Code, error.Reason));
            Assert.Contains(names, error.Message, StringComparison.Ordinal);
            Assert.Equal(reason, (await Error(client.Runs.CheckPlanAsync(new CheckPlanRequest { Model = model, Plan = plan }))).Reason);
        }
        Assert.Equal(expected, (await client.Runs.RunPlanAsync(new RunPlanRequest { Model = model, Plan = Plan(1, 2, 3) })).Logits);
    }

    [Fact]
    public async Task Handles_that_are_closed_or_never_were_are_told_apart()
    {
        await using var server = await TestServer.Start();
        using var client = server.Connect();
        var model = await client.Model();
        await client.Models.CloseModelAsync(new CloseModelRequest { Name = model });
        var closed = await Error(client.Runs.RunPlanAsync(new RunPlanRequest { Model = model, Plan = Plan(1) }));
        Assert.Equal((ErrorCode.FailedPrecondition, "MODEL_CLOSED"), (closed.Code, closed.Reason));
        Assert.Equal("UNKNOWN_MODEL", (await Error(client.Runs.RunPlanAsync(new RunPlanRequest { Model = "models/7", Plan = Plan(1) }))).Reason);
        Assert.Equal("FIELD_MISSING", (await Error(client.Runs.RunPlanAsync(new RunPlanRequest { Plan = Plan(1) }))).Reason);
        Assert.Equal("FIELD_MISSING", (await Error(client.Runs.RunPlanAsync(new RunPlanRequest { Model = await client.Model() }))).Reason);
    }

    [Fact]
    public async Task Files_that_are_missing_broken_or_outside_tell_no_path_of_the_server()
    {
        await using var server = await TestServer.Start();
        using var client = server.Connect();
        async Task<InterpException> Load(string path) => await Error(client.Models.LoadModelAsync(new LoadModelRequest { Path = path }));
        var folder = Directory.CreateDirectory(Path.Combine(server.Models, "broken")).FullName;
        File.WriteAllText(Path.Combine(folder, "config.json"), """{"architectures": ["NoSuchForCausalLM"], "model_type": "no_such"}""");
        File.WriteAllText(Path.Combine(folder, "model.safetensors"), "no safetensors at all");
        Directory.CreateDirectory(Path.Combine(server.Models, "empty"));
        var errors = new Dictionary<string, (ErrorCode, string)>
        {
            ["nothing"] = (ErrorCode.NotFound, "MODEL_NOT_FOUND"),
            ["empty"] = (ErrorCode.NotFound, "MODEL_NOT_FOUND"),
            ["broken/model.safetensors"] = (ErrorCode.DataLoss, "SAFETENSORS_HEADER_TOO_LONG"),
            ["broken"] = (ErrorCode.DataLoss, "SAFETENSORS_HEADER_TOO_LONG"),
            ["../../etc/passwd"] = (ErrorCode.PermissionDenied, "PATH_OUTSIDE_ROOTS"),
            ["/etc/passwd"] = (ErrorCode.PermissionDenied, "PATH_OUTSIDE_ROOTS"),
            [""] = (ErrorCode.InvalidArgument, "FIELD_MISSING"),
        };
        foreach (var (path, expected) in errors)
        {
            var error = await Load(path);
            Assert.Equal((path, expected), (path, (error.Code, error.Reason)));
            Assert.DoesNotContain(server.Models, error.Message);
            Assert.DoesNotContain(Path.GetTempPath(), error.Message);
        }
        var unknown = Directory.CreateDirectory(Path.Combine(server.Models, "unknown")).FullName;
        File.Move(Path.Combine(TinyModel.Write(server.Models, "other"), "tl_state_dict.safetensors"), Path.Combine(unknown, "model.safetensors"));
        File.Copy(Path.Combine(folder, "config.json"), Path.Combine(unknown, "config.json"));
        var architecture = await Load("unknown");
        Assert.Equal("UNKNOWN_ARCHITECTURE", architecture.Reason);
        Assert.Contains("NoSuchForCausalLM", architecture.Message);
        Assert.Equal("PATH_OUTSIDE_ROOTS", (await Error(client.Dictionaries.LoadDictionaryAsync(new LoadDictionaryRequest { Path = "../x" }))).Reason);
        var model = await client.Model();
        Assert.Equal("PATH_OUTSIDE_ROOTS", (await Error(client.Models.SaveModelAsync(new SaveModelRequest { Name = model, Path = "../x" }))).Reason);
        Assert.Equal("PATH_OUTSIDE_ROOTS", (await Error(client.Models.SaveModelAsync(new SaveModelRequest { Name = model, Path = server.Models }))).Reason);
        Assert.Equal("UNKNOWN_DEVICE", (await Error(client.Models.LoadModelAsync(new LoadModelRequest { Path = Path.GetFileName(TinyModel.Write(server.Models)), Options = new LoadOptions { Device = "tpu" } }))).Reason);
    }

    [Fact]
    public async Task Fields_of_tomorrow_are_refused_over_the_wire()
    {
        await using var server = await TestServer.Start();
        using var client = server.Connect();
        var plan = Plan(1);
        plan.MergeFrom([0xf8, 0x7c, 0x01]);
        var error = await Error(client.Runs.RunPlanAsync(new RunPlanRequest { Model = await client.Model(), Plan = plan }));
        Assert.Equal((ErrorCode.InvalidArgument, "UNKNOWN_FIELD", "plan"), (error.Code, error.Reason, error.Field));
        using var stream = client.Runs.StreamPlan(new RunPlanRequest { Model = "models/1", Plan = plan });
        Assert.Equal("UNKNOWN_FIELD", (await Error(() => stream.ResponseStream.MoveNext(default))).Reason);
    }

    [Fact]
    public async Task A_server_that_is_not_there_is_unavailable()
    {
        string port;
        await using (var server = await TestServer.Start()) port = server.Port;
        using var client = new TestClient(port, null, null);
        var error = await Error(client.Server.GetServerInfoAsync(new GetServerInfoRequest()));
        Assert.Equal((ErrorCode.Unavailable, "UNAVAILABLE"), (error.Code, error.Reason));
    }

    /// <summary>A clock that breaks once.</summary>
    private sealed class BreakingClock : TimeProvider
    {
        public bool Breaks { get; set; }

        public override DateTimeOffset GetUtcNow()
        {
            if (!Breaks) return base.GetUtcNow();
            Breaks = false;
            throw new FileNotFoundException("/secret/clock is not there");
        }
    }

    [Fact]
    public async Task A_failure_inside_is_told_without_its_details_and_logged_with_them()
    {
        var clock = new BreakingClock();
        await using var server = await TestServer.Start(o => o with { Clock = clock });
        server.MayComplain = true;
        using var client = server.Connect();
        clock.Breaks = true;
        var error = await Error(() => client.Upload(DataType.Bool, [1], [1]));
        Assert.Equal((ErrorCode.Internal, "INTERNAL_ERROR"), (error.Code, error.Reason));
        Assert.DoesNotContain("secret", error.Message);
        var incident = error.Message.Split(' ')[^1].TrimEnd('.');
        var line = Assert.Single(server.Logs.Complaints);
        Assert.Contains(incident, line);
        Assert.Contains("/secret/clock", line);
        await client.Upload(DataType.Bool, [1], [1]);
    }
}

internal static class Changes
{
    public static T Also<T>(this T value, Action<T> act)
    {
        act(value);
        return value;
    }
}
