using System.Globalization;
using Google.Protobuf;
using Grpc.Core;
using InteropInterp.Native.Operators;
using InteropInterp.Protocol.V1;
using InteropInterp.Server.Tests.Support;
using static InteropInterp.Server.Tests.Support.TestClient;

namespace InteropInterp.Server.Tests;

/// <summary>Runs of every kind from four clients at once: each gets its own numbers, and nothing is left behind on the server.</summary>
[Trait("Speed", "slow")]
public class SoakTests
{
    private const int Clients = 4, WarmUp = 200, Runs = 600;

    [Fact]
    public async Task Mixed_runs_of_four_clients_leave_no_tensor_and_no_memory()
    {
        await using var server = await TestServer.Start();
        TinyModel.Write(server.Models);
        var clients = Enumerable.Range(0, Clients).Select(i => server.Connect(i % 2 == 0 ? server.Port : server.Socket)).ToList();
        var models = new List<string>();
        foreach (var client in clients) models.Add((await client.Models.LoadModelAsync(new LoadModelRequest { Path = "tiny" })).Model.Name);
        var expected = new List<string>();
        foreach (var job in Jobs) expected.Add(await job(clients[0], models[0]));

        // Each client runs the jobs in an order of its own.
        async Task Work(int client, int count)
        {
            for (var run = 0; run < count; run++)
            {
                var job = (run * 3 + client) % Jobs.Length;
                Assert.Equal((job, expected[job]), (job, await Jobs[job](clients[client], models[client])));
            }
        }
        async Task All(int count) => await Task.WhenAll(Enumerable.Range(0, Clients).Select(client => Task.Run(() => Work(client, count / Clients))));

        await All(WarmUp);
        var (tensors, memory) = (LiveTensors.Count, await Settled());
        await All(Runs);
        Assert.Equal((0, Clients), (server.Host.TensorCount, server.Host.SessionCount));
        Assert.Equal(tensors, LiveTensors.Count);
        // What allocator and HTTP/2 buffers keep; a leak of 100 KB per run would be more.
        var after = await Settled();
        Assert.True(after - memory < 48 << 10, $"Resident memory grew from {memory:N0} to {after:N0} KB.");
    }

    /// <summary>Each ends with a text that depends on its answer alone, and gives back what it was given.</summary>
    private static readonly Func<TestClient, string, Task<string>>[] Jobs =
    [
        async (client, model) => await Run(client, model, p => p.Outputs = new Outputs { Logits = LogitsWanted.All, Loss = true }),
        async (client, model) => await Run(client, model, p => p.Captures.Add(new Capture { Point = "*" })),
        async (client, model) => await Run(client, model, p =>
        {
            p.Objective = new Objective { Metric = new Metric { LogitDiff = new LogitDiffMetric { Correct = { 3 }, Incorrect = { 4 } } } };
            p.Captures.Add(new Capture { Point = "blocks.*.hook_resid_pre", Gradient = true });
        }),
        async (client, model) => await Run(client, model, p =>
        {
            (p.Generation, p.Seed) = (new Protocol.V1.Generation { MaxNewTokens = 5, Sample = true }, 3);
            p.Interventions.Add(new Intervention { Point = "blocks.1.hook_mlp_out", Scale = new ScaleOp { Factor = 0.5 } });
        }),
        async (client, model) =>
        {
            var told = await client.Upload(DataType.Float32, [16], new byte[64]);
            var answer = await Run(client, model, p => p.Interventions.Add(new Intervention
            {
                Point = "blocks.0.hook_resid_pre", Set = new SetOp { Value = new Tensor { Ref = new TensorRef { Name = told.Name } } },
            }));
            await client.Tensors.DeleteTensorsAsync(new DeleteTensorsRequest { Names = { told.Name } });
            return answer;
        },
        async (client, model) => (await client.Runs.RunSweepAsync(Sweep(model))).ToString(),
        async (client, model) =>
        {
            var sweep = Sweep(model);
            sweep.Sweep.Callback = new CallbackOp();
            using var call = client.Runs.CallbackSweep();
            await call.RequestStream.WriteAsync(new CallbackSweepRequest { Request = sweep });
            var questions = 0;
            await foreach (var message in call.ResponseStream.ReadAllAsync())
            {
                if (message.Result is { } result) return $"{questions} {result.Values.Sum()}";
                if (message.Question is null) continue;
                await call.RequestStream.WriteAsync(new CallbackSweepRequest { Reply = new MetricReply { Value = ++questions } });
            }
            return "no result";
        },
        async (client, model) => (await Error(client.Runs.RunPlanAsync(new RunPlanRequest { Model = model, Plan = new Plan { Rows = { Row(99) } } }))).Message,
        async (client, model) =>
        {
            using var cancel = new CancellationTokenSource();
            using var call = client.Runs.StreamSweep(LongSweep.Of(model, repeat: 20), cancellationToken: cancel.Token);
            await call.ResponseStream.MoveNext(default);
            await cancel.CancelAsync();
            return $"{(await Assert.ThrowsAsync<RpcException>(async () => await call.ResponseStream.ReadAllAsync().LastAsync())).StatusCode}";
        },
    ];

    private static async Task<string> Run(TestClient client, string model, Action<Plan> change)
    {
        var plan = new Plan { Rows = { Row(1, 2, 3), Row(4, 5) } };
        change(plan);
        var response = await client.Runs.RunPlanAsync(new RunPlanRequest { Model = model, Plan = plan, InlineLimitBytes = 500 });
        // What is referred to is read and let go; its name and time are of this call alone.
        var tensors = new[] { response.Logits, response.Residual, response.Metric }.Concat(response.Captures.Select(c => c.Tensor)).Where(t => t?.Ref is not null).ToList();
        foreach (var tensor in tensors)
        {
            var name = tensor!.Ref.Name;
            tensor.Value = new TensorData { Data = ByteString.CopyFrom(await client.Bytes(tensor)) };
            await client.Tensors.DeleteTensorsAsync(new DeleteTensorsRequest { Names = { name } });
        }
        return response.ToString();
    }

    private static RunSweepRequest Sweep(string model) => new()
    {
        Model = model,
        Sweep = new Sweep
        {
            Base = new Plan { Rows = { Row(1, 2, 3), Row(6, 5, 4) } }, Zero = new ZeroOp(), Grid = "attn_head_out_all_pos",
            Declared = new Metric { LogProb = new LogProbMetric { Tokens = { 4 } } },
        },
    };

    // Cancelled runs end on the server a moment after they have on the client.
    private static async Task<long> Settled()
    {
        for (var last = -1L; last != LiveTensors.Count; await Task.Delay(100)) last = LiveTensors.Count;
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
        var line = File.ReadLines("/proc/self/status").First(l => l.StartsWith("VmRSS:", StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
    }
}
