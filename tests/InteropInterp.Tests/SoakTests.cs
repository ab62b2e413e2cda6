using System.Globalization;
using InteropInterp.Generation;
using InteropInterp.Models;
using InteropInterp.Native;
using InteropInterp.Native.Operators;
using InteropInterp.Patching;
using InteropInterp.Plans;
using InteropInterp.Plans.Interventions;
using InteropInterp.Plans.Metrics;
using static TorchSharp.torch;

namespace InteropInterp.Tests;

/// <summary>Ten thousand runs of every kind from four clients at once: each gets its own numbers, and nothing is left behind.</summary>
[Trait("Speed", "slow")]
public class SoakTests
{
    private const int Runs = 10_000;
    private const int Clients = 4;
    private const int WarmUp = 2_000;

    private static readonly Row[] Rows = [new([3, 1, 4, 1, 5, 9, 2]), new([6, 5, 3]), new([3, 5, 8, 9, 7])];
    private static readonly Row[] Clean = [new([3, 1, 4, 1]), new([6, 5, 3, 7])];
    private static readonly Row[] Corrupt = [new([3, 2, 4, 1]), new([6, 9, 3, 7])];
    private static readonly LogitDiff Difference = new([1, 2], [3, 4]);

    [Fact]
    public void Mixed_runs_of_four_clients_keep_their_numbers_and_leave_no_tensor_and_no_memory()
    {
        using var gpt2 = TinyModels.Make("gpt2", ScalarType.Float32);
        using var llama = TinyModels.Make("llama", ScalarType.Float32);
        TransformerModel[] models = [gpt2, llama];
        var expected = models.Select(model => Jobs.Select(job => job(model)).ToArray()).ToArray();
        var (tensors, memory) = (0L, 0L);
        using var barrier = new Barrier(Clients + 1);
        var done = 0;
        var failures = new List<string>();

        void Client(int client)
        {
            for (var part = 0; part < 2; part++)
            {
                var end = part == 0 ? WarmUp : Runs;
                while (Interlocked.Increment(ref done) is var run && run <= end)
                {
                    var (model, job) = (run % models.Length, (run / models.Length) % Jobs.Length);
                    try
                    {
                        var value = Jobs[job](models[model]);
                        if (value != expected[model][job]) lock (failures) failures.Add($"run {run} (job {job}): {value}, not {expected[model][job]}");
                    }
                    catch (Exception e)
                    {
                        lock (failures) failures.Add($"run {run} (job {job}): {e.Message}");
                    }
                }
                barrier.SignalAndWait(TimeSpan.FromMinutes(10)); // all have stopped
                barrier.SignalAndWait(TimeSpan.FromMinutes(1)); // all may go on
            }
        }

        var clients = Enumerable.Range(0, Clients).Select(i => new Thread(() => Client(i)) { IsBackground = true }).ToArray();
        foreach (var client in clients) client.Start();

        Assert.True(barrier.SignalAndWait(TimeSpan.FromMinutes(10)), "The first runs have not ended.");
        (tensors, memory) = (LiveTensors.Count, ResidentKilobytes());
        done = WarmUp;
        barrier.SignalAndWait();
        Assert.True(barrier.SignalAndWait(TimeSpan.FromMinutes(10)), "The runs have not ended.");
        var (tensorsAfter, memoryAfter) = (LiveTensors.Count, ResidentKilobytes());
        barrier.SignalAndWait();
        foreach (var client in clients) Assert.True(client.Join(TimeSpan.FromMinutes(1)));

        Assert.Empty(failures.Take(5));
        Assert.Equal(tensors, tensorsAfter);
        // What an allocator keeps of 8,000 runs; a leak of one tensor per run would be as much, and shows in the count above.
        Assert.True(memoryAfter - memory < 48 << 10, $"Resident memory grew from {memory:N0} to {memoryAfter:N0} KB.");
    }

    /// <summary>Each gives a number that depends on its result alone.</summary>
    private static readonly Func<TransformerModel, double>[] Jobs =
    [
        model => Number(model, new Plan { Rows = Rows, Outputs = new Outputs { Logits = LogitsWanted.All, Loss = true } }),
        model => Number(model, new Plan { Rows = Rows, Captures = [new Capture("*")] }),
        model => Number(model, new Plan
        {
            Rows = Clean,
            Objective = new Objective { Metric = Difference },
            Captures = [new Capture("*hook_z") { Gradient = true }, new Capture("*hook_resid_pre") { Gradient = true }],
        }),
        model => Number(model, new Plan
        {
            Rows = Corrupt,
            Outputs = Outputs.AllLogits,
            Sources = new Dictionary<string, Plan> { ["clean"] = new() { Rows = Clean } },
            Interventions =
            [
                new Intervention("blocks.0.attn.hook_z", new PatchFromOp("clean")) { Where = new Selector { Heads = Positions.At(1) } },
                new Intervention("blocks.1.hook_resid_post", new ScaleOp(.5)),
                new Intervention("blocks.1.hook_attn_out", new ZeroOp()),
            ],
        }),
        model => Number(model, new Plan
        {
            Rows = Clean,
            Outputs = Outputs.AllLogits,
            Interventions = [new Intervention("*hook_mlp_out", new CallbackOp((a, _) => a.mul(Scalars.Half)))],
        }),
        model => Number(model, new Plan { Rows = Clean, Generation = new GenerationOptions { MaxNewTokens = 5, TopK = 5 }, Seed = 7 }),
        model => SweepRunner.Run(model, new Sweep
        {
            Base = new Plan { Rows = Corrupt },
            Grid = SweepGrid.Of("attn_head_out_by_pos"),
            Source = new SweepFromRun(new Plan { Rows = Clean }),
            Metric = Difference,
        }).Values.Sum(),
        Refused,
        Cancelled,
        Thrown,
    ];

    private static double Number(TransformerModel model, Plan plan)
    {
        using var result = PlanRunner.Run(model, plan);
        using var scope = NewDisposeScope();
        double Sum(Tensor? tensor) => tensor is null ? 0 : tensor.abs().sum().item<float>();
        return Sum(result.Logits) + (result.Loss ?? 0) + result.Captures.Values.Sum(t => Sum(t)) + (result.Tokens?.Sum(row => row.Sum()) ?? 0);
    }

    private static double Refused(TransformerModel model) =>
        Assert.Throws<InterpException>(() => PlanRunner.Run(model, new Plan { Rows = Clean, Captures = [new Capture("blocks.0.hook_residual")] })).Message.Length;

    private static double Cancelled(TransformerModel model)
    {
        using var cancellation = new CancellationTokenSource();
        var plan = new Plan
        {
            Rows = Clean,
            Captures = [new Capture("*")],
            Interventions =
            [
                new Intervention("blocks.0.hook_resid_post", new CallbackOp((_, _) =>
                {
                    cancellation.Cancel();
                    return null;
                })),
            ],
        };
        return Assert.ThrowsAny<Exception>(() => PlanRunner.Run(model, plan, cancellation: cancellation.Token)).GetType().Name.Length;
    }

    private static double Thrown(TransformerModel model) => Assert.Throws<InvalidOperationException>(() => PlanRunner.Run(model, new Plan
    {
        Rows = Clean,
        Captures = [new Capture("*")],
        Interventions = [new Intervention("blocks.1.hook_resid_post", new CallbackOp((a, _) => throw new InvalidOperationException("A user's mistake.")))],
    })).Message.Length;

    private static long ResidentKilobytes()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
        var line = File.ReadLines("/proc/self/status").First(l => l.StartsWith("VmRSS:", StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
    }
}
