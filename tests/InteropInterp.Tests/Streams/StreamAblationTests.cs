using InteropInterp.Circuits;
using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Patching;
using InteropInterp.Plans;
using InteropInterp.Plans.Interventions;
using InteropInterp.Plans.Metrics;
using InteropInterp.Streams;
using InteropInterp.Streams.Sources;
using InteropInterp.Streams.Statistics;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Streams;

/// <summary>What a stream gathered, put in the place of activations.</summary>
public class StreamAblationTests
{
    private static readonly Row[] Prompts = [new([3, 1, 4, 1, 5]), new([9, 2, 6, 5, 3])];
    private static readonly LogitDiff Metric = new([7, 8], [1, 2]);

    private static string Reason(Action action) => Assert.Throws<InterpException>(action).Reason;

    private static StreamResult Stream(TransformerModel model, string points) => StreamRunner.Run(model, new StreamPlan
    {
        Source = new RowSource(StatisticsTests.Rows), Probes = [new StreamProbe(points, new Moments(), new PositionMoments(), new Reservoir(11))],
    });

    // One pass per cell, with the op that means the same.
    private static double Brute(TransformerModel model, string point, int head, Func<Tensor, InterventionOp> op, Tensor values)
    {
        using var scope = NewDisposeScope();
        var cut = values.index_select(values.dim() - 2, tensor([(long)head]));
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = Prompts, Objective = new Objective { Metric = Metric },
            Interventions = [new Intervention(point, op(cut)) { Where = new Selector { Heads = Positions.At(head) } }],
        });
        return run.Metric!.mean().item<double>();
    }

    [Theory]
    [InlineData("gpt2", "mean")]
    [InlineData("llama", "mean")]
    [InlineData("attention", "mean")]
    [InlineData("gpt2", "position_mean")]
    [InlineData("llama", "samples")]
    [InlineData("parallel", "samples")]
    public void Sweeps_take_means_and_samples(string kind, string what)
    {
        using var model = TinyModels.Make(kind);
        using var stream = Stream(model, "blocks.*.attn.hook_z");
        SweepSource source = what == "samples" ? new SweepFromSamples(stream.All(what), 5) : new SweepFromMeans(stream.All(what));
        var result = SweepRunner.Run(model, new Sweep
        {
            Base = new Plan { Rows = Prompts }, Source = source, Grid = SweepGrid.Of("attn_head_out_all_pos"), Metric = Metric,
        });
        for (var layer = 0; layer < model.Config.LayerCount; layer++)
            for (var head = 0; head < 4; head++)
            {
                var point = new HookPoint(HookSite.Z, layer).Name;
                var values = what == "position_mean" ? stream[point][what].narrow(0, 0, 5) : stream[point][what];
                Assert.Equal(Brute(model, point, head, cut => what == "samples" ? new ResampleOp(cut) { Seed = 5 } : new SetOp(cut), values), result[layer, head], 1e-9);
                if (what == "position_mean") values.Dispose();
            }
    }

    [Fact]
    public void Circuits_are_ablated_by_means_and_samples()
    {
        using var model = TinyModels.Make("gpt2");
        var graph = new ResidualGraph(model.Config);
        using var stream = StreamRunner.Run(model, new StreamPlan
        {
            Source = new RowSource(StatisticsTests.Rows), Flags = new ModelFlags { UseAttnResult = true },
            Probes = [.. graph.Senders.Select(s => s.Point.Name).Distinct().Select(p => new StreamProbe(p, new Moments(), new Reservoir(11)))],
        });
        // A circuit of all that one MLP does not write is the model with that MLP ablated.
        var circuit = Circuit.Of(graph, (s, _) => graph.Senders[s].Name != "m1");
        using var runner = new CircuitRunner(model, new CircuitTask { Prompts = new Plan { Rows = Prompts }, Ablation = new SweepFromMeans(stream.All("mean")), Metric = Metric });
        using var mean = PlanRunner.Run(model, new Plan
        {
            Rows = Prompts, Objective = new Objective { Metric = Metric }, Interventions = [new Intervention("blocks.1.hook_mlp_out", new SetOp(stream["blocks.1.hook_mlp_out"]["mean"]))],
        });
        using var scope = NewDisposeScope();
        Assert.Equal(mean.Metric!.mean().item<double>(), runner.Run(circuit), 1e-9);
        using var resampler = new CircuitRunner(model, new CircuitTask { Prompts = new Plan { Rows = Prompts }, Ablation = new SweepFromSamples(stream.All("samples"), 3), Metric = Metric });
        using var resampled = PlanRunner.Run(model, new Plan
        {
            Rows = Prompts, Objective = new Objective { Metric = Metric },
            Interventions = [new Intervention("blocks.1.hook_mlp_out", new ResampleOp(stream["blocks.1.hook_mlp_out"]["samples"]) { Seed = 3 })],
        });
        Assert.Equal(resampled.Metric!.mean().item<double>(), resampler.Run(circuit), 1e-9);
        Assert.NotEqual(mean.Metric!.mean().item<double>(), resampled.Metric!.mean().item<double>(), 1e-6);
    }

    [Fact]
    public void Drawn_samples_depend_on_seed_and_row_alone()
    {
        using var model = TinyModels.Make("gpt2");
        using var scope = NewDisposeScope();
        var samples = tensor(Enumerable.Range(0, 9).Select(i => (double)i).ToArray()).view(9, 1).expand(9, 16).contiguous();
        double[] Drawn(ulong seed, params Row[] rows)
        {
            using var run = PlanRunner.Run(model, new Plan
            {
                Rows = rows, Seed = seed, Captures = [new Capture("blocks.1.hook_resid_pre")], Interventions = [new Intervention("blocks.1.hook_resid_pre", new ResampleOp(samples))],
            });
            return run["blocks.1.hook_resid_pre"][0].select(1, 0).data<double>().ToArray();
        }
        Assert.Equal(Drawn(1, Prompts[0]), Drawn(1, Prompts));
        Assert.NotEqual(Drawn(1, Prompts[0]), Drawn(2, Prompts[0]));
        Assert.True(Drawn(1, new Row(new int[20])).Distinct().Count() > 4);
    }

    [Fact]
    public void What_does_not_fit_is_refused()
    {
        using var model = TinyModels.Make("gpt2");
        using var stream = Stream(model, "blocks.0.attn.hook_z");
        string Run(SweepSource source, string grid = "attn_head_out_all_pos", params Row[] rows) => Reason(() => SweepRunner.Run(model, new Sweep
        {
            Base = new Plan { Rows = rows.Length > 0 ? rows : Prompts }, Source = source, Grid = SweepGrid.Of(grid), Metric = Metric,
        }));
        Assert.Equal("STREAM_LACKS_POINT", Run(new SweepFromMeans(stream.All("mean"))));
        using var scope = NewDisposeScope();
        var wrong = Enumerable.Range(0, 3).ToDictionary(l => $"blocks.{l}.attn.hook_z", _ => zeros(4, 5));
        Assert.Equal("STREAM_VALUE_SHAPE", Run(new SweepFromMeans(wrong)));
        Assert.Equal("STREAM_VALUE_SHAPE", Run(new SweepFromSamples(wrong)));
        var few = Enumerable.Range(0, 3).ToDictionary(l => $"blocks.{l}.attn.hook_z", _ => zeros(2, 4, 4));
        Assert.Equal("STREAM_VALUE_SHAPE", Run(new SweepFromMeans(few)));
        Assert.Equal("VALUE_SHAPE", Reason(() => PlanRunner.Run(model, new Plan { Rows = Prompts, Interventions = [new Intervention("blocks.0.attn.hook_z", new ResampleOp(zeros(2, 4, 5)))] })));
    }
}
