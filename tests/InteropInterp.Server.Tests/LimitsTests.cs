using InteropInterp.Plans.Execution;
using InteropInterp.Protocol.V1;
using InteropInterp.Server.Tests.Support;
using static InteropInterp.Server.Tests.Support.TestClient;

namespace InteropInterp.Server.Tests;

public class LimitsTests
{
    private static RunPlanRequest Logits(string model, int rows) => new()
    {
        Model = model, InlineLimitBytes = 0,
        Plan = new Plan { Rows = { Enumerable.Range(0, rows).Select(i => Row(1, 2, i % 29)) }, Outputs = new Outputs { Logits = LogitsWanted.All } },
    };

    [Fact]
    public async Task A_run_whose_results_or_memory_do_not_fit_is_refused_before_it_begins()
    {
        await using var server = await TestServer.Start(o => o with
        {
            Limits = o.Limits with { Tensors = o.Limits.Tensors with { SessionBytes = 10_000, TotalBytes = 15_000 }, Execution = new ExecutionOptions { MemoryLimit = 300_000 } },
        });
        using var client = server.Connect();
        var model = await client.Model();
        var info = await client.Server.GetServerInfoAsync(new GetServerInfoRequest());
        Assert.Equal((10_000L, 300_000L, 64 << 20), (info.TensorQuotaBytes, info.MemoryLimitBytes, info.MaxRequestBytes));
        var first = await client.Runs.RunPlanAsync(Logits(model, 20));
        var full = await TestClient.Error(client.Runs.RunPlanAsync(Logits(model, 20)));
        Assert.Equal((ErrorCode.ResourceExhausted, "TENSOR_QUOTA"), (full.Code, full.Reason));
        await client.Tensors.DeleteTensorsAsync(new DeleteTensorsRequest { Names = { first.Logits.Ref.Name } });
        await client.Runs.RunPlanAsync(Logits(model, 20));
        Assert.Equal("PLAN_TOO_LARGE", (await TestClient.Error(client.Runs.RunPlanAsync(Logits(model, 20_000)))).Reason);
        // Others share what is left of the whole.
        using var other = server.Connect();
        Assert.Contains("for all clients", (await Refusal(other, rows: 25)).Message);
    }

    private static async Task<InterpException> Refusal(TestClient client, int rows)
    {
        var model = await client.Model();
        return await TestClient.Error(client.Runs.RunPlanAsync(Logits(model, rows)));
    }

    [Fact]
    public async Task A_client_has_so_many_runs_and_the_device_so_many_in_hand()
    {
        await using var server = await TestServer.Start(o => o with { Limits = o.Limits with { RunsPerSession = 2, QueueLength = 3 } });
        var calls = new List<Grpc.Core.AsyncServerStreamingCall<StreamSweepResponse>>();
        async Task<Grpc.Core.AsyncServerStreamingCall<StreamSweepResponse>> Begin(TestClient client)
        {
            var call = client.Runs.StreamSweep(LongSweep.Of("models/1", repeat: 2000));
            calls.Add(call);
            Assert.True(await call.ResponseStream.MoveNext(default));
            return call;
        }
        using var first = server.Connect();
        await first.Model();
        await Begin(first);
        await Begin(first);
        Assert.Equal("TOO_MANY_RUNS", (await TestClient.Error(first.Runs.RunSweepAsync(LongSweep.Of("models/1", 1)))).Reason);
        using var second = server.Connect();
        await second.Model();
        await Begin(second);
        Assert.Equal("QUEUE_FULL", (await TestClient.Error(second.Runs.RunPlanAsync(Logits("models/1", 1)))).Reason);
        foreach (var call in calls) call.Dispose();
    }

    [Fact]
    public async Task A_request_has_so_many_bytes_and_more_where_it_holds_tensors()
    {
        await using var server = await TestServer.Start(o => o with { Limits = o.Limits with { SmallRequestBytes = 1000, RequestBytes = 20_000 } });
        using var client = server.Connect();
        var model = await client.Model();
        var names = new string('x', 2000);
        Assert.Equal(ErrorCode.ResourceExhausted, (await TestClient.Error(client.Models.GetModelAsync(new GetModelRequest { Name = names }))).Code);
        Assert.Equal("UNKNOWN_MODEL", (await TestClient.Error(client.Runs.RunPlanAsync(new RunPlanRequest { Model = names }))).Reason);
        Assert.Equal(ErrorCode.ResourceExhausted, (await TestClient.Error(client.Runs.RunPlanAsync(Logits(model, 10_000)))).Code);
        await client.Runs.RunPlanAsync(Logits(model, 1));
    }

    [Fact]
    public async Task Weights_of_all_clients_have_their_limit()
    {
        await using var server = await TestServer.Start(o => o with { Limits = o.Limits with { ModelBytes = 150_000 } });
        TinyModel.Write(server.Models);
        using var client = server.Connect();
        for (var i = 0; i < 5; i++) await client.Models.LoadModelAsync(new LoadModelRequest { Path = "tiny" });
        await client.Model();
        Assert.Equal("MODELS_TOO_LARGE", (await TestClient.Error(client.Models.CreateModelAsync(new CreateModelRequest { ConfigJson = TinyModel.Json() }))).Reason);
        await client.Models.CloseModelAsync(new CloseModelRequest { Name = "models/6" });
        await client.Model();
    }
}
