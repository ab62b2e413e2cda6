using System.Diagnostics;
using Grpc.Core;
using InteropInterp.Protocol.V1;
using InteropInterp.Server.Tests.Support;
using static InteropInterp.Server.Tests.Support.TestClient;

namespace InteropInterp.Server.Tests;

public class CancellationTests
{
    // Much more than a step of a tiny model takes, even where the machine is busy; much less than the whole.
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(20);

    private static async Task Ended(TestServer server, TestClient client, Stopwatch clock)
    {
        // The one run that the session may have at a time is over when another may begin.
        while (true)
        {
            try
            {
                await client.Runs.RunPlanAsync(new RunPlanRequest { Model = "models/1", Plan = new Plan { Rows = { Row(1) } } });
                break;
            }
            catch (RpcException e) when (e.StatusCode == StatusCode.ResourceExhausted)
            {
                await Task.Delay(1);
            }
        }
        Assert.True(clock.Elapsed < Soon, $"it took {clock.Elapsed}");
        Assert.DoesNotContain(server.Logs.Lines, l => l.Contains("Sweep took", StringComparison.Ordinal));
    }

    private static Task<TestServer> OneRun() => TestServer.Start(o => o with { Limits = o.Limits with { RunsPerSession = 1 } });

    [Fact]
    public async Task A_cancelled_sweep_ends_within_a_step_and_leaves_the_model_usable()
    {
        await using var server = await OneRun();
        using var client = server.Connect();
        using var cancel = new CancellationTokenSource();
        using var call = client.Runs.StreamSweep(LongSweep.Of(await client.Model(), repeat: 2000), cancellationToken: cancel.Token);
        Assert.True(await call.ResponseStream.MoveNext(default));
        var clock = Stopwatch.StartNew();
        await cancel.CancelAsync();
        Assert.Equal(StatusCode.Cancelled, (await Assert.ThrowsAsync<RpcException>(async () => await call.ResponseStream.ReadAllAsync().LastAsync())).StatusCode);
        await Ended(server, client, clock);
        TestContext.Current.SendDiagnosticMessage($"from cancel to the next run's answer: {clock.Elapsed.TotalMilliseconds:F1} ms");
    }

    [Fact]
    public async Task What_was_known_of_a_cancelled_sweep_has_been_told()
    {
        await using var server = await OneRun();
        using var client = server.Connect();
        using var cancel = new CancellationTokenSource();
        var request = LongSweep.Of(await client.Model(), repeat: 2000);
        request.PartialResults = true;
        using var call = client.Runs.StreamSweep(request, cancellationToken: cancel.Token);
        var (known, shape) = (new Dictionary<int, double>(), Array.Empty<int>());
        var error = await Assert.ThrowsAsync<RpcException>(async () =>
        {
            await foreach (var told in call.ResponseStream.ReadAllAsync())
            {
                if (told.Portion is not { } portion) continue;
                if (portion.Outline is { } outline) shape = [.. outline.Shape];
                for (var i = 0; i < portion.Cells.Count; i++) known.Add(portion.Cells[i], portion.Metrics[0].Values[i]);
                if (known.Count > 0) await cancel.CancelAsync();
            }
        });
        Assert.Equal(StatusCode.Cancelled, error.StatusCode);
        Assert.InRange(known.Count, 1, shape.Aggregate(1, (a, b) => a * b) - 1);
        Assert.All(known.Values, value => Assert.True(double.IsFinite(value)));
        await Ended(server, client, Stopwatch.StartNew());
    }

    [Fact]
    public async Task A_deadline_ends_a_run()
    {
        await using var server = await OneRun();
        using var client = server.Connect();
        var model = await client.Model();
        var clock = Stopwatch.StartNew();
        var error = await Error(client.Runs.RunSweepAsync(LongSweep.Of(model, repeat: 2000), deadline: DateTime.UtcNow.AddMilliseconds(300)));
        Assert.Equal(ErrorCode.DeadlineExceeded, error.Code);
        await Ended(server, client, clock);
        Assert.Contains(server.Logs.Lines, l => l.Contains("DEADLINE_EXCEEDED", StringComparison.Ordinal));
    }

    [Fact]
    public async Task The_servers_own_limit_ends_a_run()
    {
        await using var server = await TestServer.Start(o => o with { Limits = o.Limits with { CallDuration = TimeSpan.FromMilliseconds(300) } });
        using var client = server.Connect();
        var error = await Error(client.Runs.RunSweepAsync(LongSweep.Of(await client.Model(), repeat: 2000)));
        Assert.Equal((ErrorCode.DeadlineExceeded, "CALL_TOO_LONG"), (error.Code, error.Reason));
    }

    [Fact]
    public async Task A_client_that_vanishes_takes_its_runs_and_all_it_held_along()
    {
        await using var server = await TestServer.Start();
        var client = new TestClient(server.Port, session: null, token: null);
        await client.Upload(DataType.Float32, [10], new byte[40]);
        var call = client.Runs.StreamSweep(LongSweep.Of(await client.Model(), repeat: 2000));
        Assert.True(await call.ResponseStream.MoveNext(default));
        Assert.Equal((1, 1), (server.Host.SessionCount, server.Host.TensorCount));
        client.Dispose();
        Assert.True(SpinWait.SpinUntil(() => server.Host is { SessionCount: 0, TensorCount: 0 }, Soon));
        Assert.True(SpinWait.SpinUntil(() => server.Logs.Lines.Any(l => l.Contains("StreamSweep refused", StringComparison.Ordinal)), Soon));
    }

    [Fact]
    public async Task A_client_that_does_not_answer_can_be_ended_and_holds_nobody_up()
    {
        await using var server = await OneRun();
        using var client = server.Connect();
        var sweep = LongSweep.Of(await client.Model(), repeat: 1);
        sweep.Sweep.Callback = new CallbackOp();
        using var cancel = new CancellationTokenSource();
        using var call = client.Runs.CallbackSweep(cancellationToken: cancel.Token);
        await call.RequestStream.WriteAsync(new CallbackSweepRequest { Request = sweep });
        Assert.True(await call.ResponseStream.MoveNext(default));
        // The device is free while it thinks.
        using var other = server.Connect();
        await other.Runs.RunPlanAsync(new RunPlanRequest { Model = await other.Model(), Plan = new Plan { Rows = { Row(1) } } });
        var clock = Stopwatch.StartNew();
        await cancel.CancelAsync();
        await Ended(server, client, clock);

        using var hangsUp = client.Runs.CallbackSweep();
        await hangsUp.RequestStream.WriteAsync(new CallbackSweepRequest { Request = sweep });
        await hangsUp.RequestStream.CompleteAsync();
        Assert.Equal("REPLY_MISSING", (await Error(async () => await hangsUp.ResponseStream.ReadAllAsync().LastAsync())).Reason);
    }

    [Fact]
    public async Task Stopping_ends_what_takes_longer_than_it_is_given()
    {
        await using var server = await TestServer.Start(o => o with { Limits = o.Limits with { DrainTime = TimeSpan.FromMilliseconds(300) } });
        using var client = server.Connect();
        using var call = client.Runs.StreamSweep(LongSweep.Of(await client.Model(), repeat: 2000));
        Assert.True(await call.ResponseStream.MoveNext(default));
        var clock = Stopwatch.StartNew();
        await server.Host.StopAsync();
        Assert.True(clock.Elapsed < Soon, $"it took {clock.Elapsed}");
        Assert.DoesNotContain(server.Logs.Lines, l => l.Contains("Sweep took", StringComparison.Ordinal));
        await Assert.ThrowsAsync<RpcException>(async () => await call.ResponseStream.ReadAllAsync().LastAsync());
    }
}
