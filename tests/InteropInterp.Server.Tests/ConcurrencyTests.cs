using Grpc.Core;
using InteropInterp.Protocol.V1;
using InteropInterp.Server.Tests.Support;
using static InteropInterp.Server.Tests.Support.TestClient;

namespace InteropInterp.Server.Tests;

public class ConcurrencyTests
{
    [Fact]
    public async Task Twenty_clients_with_different_plans_get_their_own_numbers()
    {
        await using var server = await TestServer.Start();
        TinyModel.Write(server.Models);
        Plan Plan(int client, int i) => new()
        {
            Rows = { Row(client, i % 29, 3), Row(i % 7, client) },
            Outputs = new Outputs { Logits = LogitsWanted.Last },
            Captures = { new Capture { Point = "blocks.2.hook_resid_post" } },
            Interventions = { new Intervention { Point = $"blocks.{client % 3}.hook_mlp_out", Scale = new ScaleOp { Factor = client * 0.1 } } },
        };

        // What each is to get, asked by one client alone.
        var expected = new Dictionary<(int, int), RunPlanResponse>();
        using (var alone = server.Connect())
        {
            var model = (await alone.Models.LoadModelAsync(new LoadModelRequest { Path = "tiny" })).Model.Name;
            for (var client = 0; client < 20; client++)
                for (var i = 0; i < 5; i++) expected[(client, i)] = await alone.Runs.RunPlanAsync(new RunPlanRequest { Model = model, Plan = Plan(client, i) });
        }
        await Task.WhenAll(Enumerable.Range(0, 20).Select(async number =>
        {
            using var client = server.Connect(number % 2 == 0 ? server.Socket : server.Port);
            var model = (await client.Models.LoadModelAsync(new LoadModelRequest { Path = "tiny" })).Model.Name;
            await Task.WhenAll(Enumerable.Range(0, 5).Select(async i =>
                Assert.Equal(expected[(number, i)], await client.Runs.RunPlanAsync(new RunPlanRequest { Model = model, Plan = Plan(number, i) }))));
        }));
    }

    [Fact]
    public async Task A_long_sweep_does_not_hold_up_a_short_request()
    {
        await using var server = await TestServer.Start();
        using var busy = server.Connect();
        using var call = busy.Runs.StreamSweep(LongSweep.Of(await busy.Model(), repeat: 2000));
        Assert.True(await call.ResponseStream.MoveNext(default));
        var sweeping = call.ResponseStream.ReadAllAsync().LastAsync().AsTask();
        using var quick = server.Connect();
        var model = await quick.Model();
        for (var i = 0; i < 3; i++)
            await quick.Runs.RunPlanAsync(new RunPlanRequest { Model = model, Plan = new Plan { Rows = { Row(1, 2) } } }, deadline: DateTime.UtcNow.AddSeconds(30));
        Assert.False(sweeping.IsCompleted, "the sweep had ended meanwhile");
        call.Dispose();
        await Assert.ThrowsAsync<RpcException>(() => sweeping);
    }
}

/// <summary>Sweeps that take many steps.</summary>
internal static class LongSweep
{
    /// <param name="repeat">How often each position is swept.</param>
    public static RunSweepRequest Of(string model, int repeat) => new()
    {
        Model = model,
        Sweep = new Sweep
        {
            Base = new Plan { Rows = { Enumerable.Range(0, 24).Select(r => Row([.. Enumerable.Range(0, 24).Select(i => (r + i) % 29)])) } }, Zero = new ZeroOp(),
            CustomGrid = new Grid { Site = "z", Axes = { "layer", "pos", "head" } }, Declared = new Metric { Loss = new LossMetric() },
            Positions = new Positions { Indices = new IndexList { Values = { Enumerable.Range(0, 24 * repeat).Select(i => i % 24) } } },
        },
    };
}
