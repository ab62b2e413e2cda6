using InteropInterp.Models;
using InteropInterp.Native.Devices;
using InteropInterp.Plans;
using InteropInterp.Plans.Interventions;
using InteropInterp.Streams;
using InteropInterp.Streams.Sources;
using InteropInterp.Streams.Statistics;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Streams;

public class StreamExecutionTests
{
    private const string Post = "blocks.1.mlp.hook_post";

    private static readonly StreamProbe[] Everything =
    [
        new("blocks.*.hook_resid_post", new Moments(Moment.Variance)),
        new(Post, new Moments(Moment.Covariance), new PositionMoments(true), Histogram.Of(-1, 1, 7), new Firing(), new TopExamples(3), new Reservoir(9)),
        new("blocks.0.attn.hook_z", new Moments(), new TopExamples(2) { Smallest = true }) { Where = new Selector { Heads = Positions.At(1, 3) } },
    ];

    private static StreamPlan Plan(string? checkpoint = null) => new()
    {
        Source = new RowSource(StatisticsTests.Rows), Probes = Everything, BatchTokens = 30, Checkpoint = checkpoint, CheckpointEvery = 20,
    };

    private static string Reason(Action action) => Assert.Throws<InterpException>(action).Reason;

    private static void AssertSame(StreamResult expected, StreamResult actual)
    {
        Assert.Equal((expected.Rows, expected.Tokens), (actual.Rows, actual.Tokens));
        foreach (var probe in expected.Probes)
            foreach (var (name, tensor) in probe.Tensors)
            {
                using var scope = NewDisposeScope();
                var other = actual[probe.Name][name];
                Assert.True(tensor.shape.SequenceEqual(other.shape), $"{probe.Name} {name}");
                // Bit by bit, NaN too.
                Assert.True(tensor.bytes.SequenceEqual(other.bytes), $"{probe.Name} {name} differs");
            }
    }

    [Theory]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.Float32)]
    public void A_stream_that_is_broken_off_anywhere_ends_as_if_it_had_not_been(ScalarType dtype)
    {
        using var folder = new TemporaryFolder();
        using var model = TinyModels.Make("gpt2", dtype);
        using var whole = StreamRunner.Run(model, Plan());
        // Two batches are more tokens than a checkpoint waits for.
        for (var steps = 2; steps < 8; steps++)
        {
            var path = folder.File($"{steps}.safetensors");
            using (var broken = StreamRunner.Start(model, Plan(path)))
                DeviceLeases.Of(model.Device).Run(Stepwise.Once(() =>
                {
                    for (var i = 0; i < steps; i++) broken.Advance();
                    return true;
                }));
            Assert.True(File.Exists(path));
            using var resumed = StreamRunner.Run(model, Plan(path));
            AssertSame(whole, resumed);
            // At its end there is nothing left to do.
            using var again = StreamRunner.Run(model, Plan(path));
            AssertSame(whole, again);
        }
    }

    [Fact]
    public void A_cancelled_stream_keeps_what_it_has_and_goes_on()
    {
        using var folder = new TemporaryFolder();
        using var model = TinyModels.Make("gpt2");
        using var whole = StreamRunner.Run(model, Plan());
        using var stop = new CancellationTokenSource();
        var plan = Plan(folder.File("c.safetensors")) with { CheckpointEvery = 1 << 20 };
        var batches = 0;
        var error = Assert.Throws<InterpException>(() => StreamRunner.Run(model, plan, progress: _ =>
        {
            if (++batches == 3) stop.Cancel();
        }, cancellation: stop.Token));
        Assert.Equal(ErrorCode.Cancelled, error.Code);
        Assert.Equal(3, batches);
        using var resumed = StreamRunner.Run(model, plan);
        AssertSame(whole, resumed);
    }

    [Fact]
    public void A_batch_that_is_broken_off_in_the_middle_comes_again()
    {
        using var model = TinyModels.Make("gpt2");
        using var whole = StreamRunner.Run(model, Plan());
        using var execution = StreamRunner.Start(model, Plan());
        var checks = 0;
        DeviceLeases.Of(model.Device).Run(() =>
        {
            try
            {
                // A batch looks three times, once per layer; the watch stops it in some.
                using var watch = Interrupts.Watch(() =>
                {
                    if (++checks % 5 == 2) throw new OperationCanceledException();
                });
                return execution.Advance();
            }
            catch (OperationCanceledException)
            {
                return true;
            }
        });
        Assert.True(checks > 20);
        using var result = execution.TakeResult();
        AssertSame(whole, result);
    }

    [Fact]
    public void What_is_known_can_be_looked_at_on_the_way()
    {
        using var model = TinyModels.Make("gpt2");
        using var execution = StreamRunner.Start(model, Plan());
        DeviceLeases.Of(model.Device).Run(Stepwise.Once(execution.Advance));
        using var partial = execution.Result();
        Assert.False(partial.IsComplete);
        Assert.Equal(execution.Progress.Rows, partial.Rows);
        using var same = StreamRunner.Run(model, Plan() with { Source = new RowSource(StatisticsTests.Rows.Take((int)partial.Rows)) });
        Assert.Equal(same.Tokens, partial.Tokens);
        Assert.True(Golden.Distance(partial[Post]["covariance"], same[Post]["covariance"]) < 1e-12);
        Assert.True(Golden.Distance(partial[Post]["top_values"], same[Post]["top_values"]) < 1e-12);
    }

    [Fact]
    public void A_limit_of_tokens_ends_it_with_the_row_that_reaches_it_and_can_be_raised()
    {
        using var folder = new TemporaryFolder();
        using var model = TinyModels.Make("llama");
        var plan = Plan(folder.File("c.safetensors")) with { MaxTokens = 50, SkipFirst = 1, IgnoredTokens = [3] };
        using var first = StreamRunner.Run(model, plan);
        var counts = StatisticsTests.Rows.Select(row => row.Skip(1).Count(t => t != 3)).ToList();
        var rows = Enumerable.Range(1, counts.Count).First(n => counts.Take(n).Sum() >= 50);
        Assert.Equal((rows, counts.Take(rows).Sum(), true), (first.Rows, first.Tokens, first.IsComplete));
        using var all = StreamRunner.Run(model, plan with { MaxTokens = null });
        using var fresh = StreamRunner.Run(model, plan with { MaxTokens = null, Checkpoint = null });
        Assert.Equal((counts.Count, counts.Sum()), (all.Rows, all.Tokens));
        Assert.True(Golden.Distance(fresh[Post]["covariance"], all[Post]["covariance"]) < 1e-12);
    }

    [Fact]
    public void Interventions_stand_before_probes()
    {
        using var model = TinyModels.Make("gpt2");
        using var result = StreamRunner.Run(model, Plan() with
        {
            Interventions = [new Intervention(Post, new ScaleOp(0)), new Intervention("blocks.2.hook_resid_post", new ZeroOp())],
            Probes = [new StreamProbe(Post, new Moments()), new StreamProbe("blocks.0.mlp.hook_post", new Moments())],
        });
        using var scope = NewDisposeScope();
        Assert.Equal(0, result[Post]["mean"].abs().max().item<double>());
        Assert.NotEqual(0, result["blocks.0.mlp.hook_post"]["mean"].abs().max().item<double>());
    }

    [Fact]
    public void Every_batch_has_draws_of_its_own()
    {
        using var model = TinyModels.Make("gpt2");
        foreach (var seed in new ulong?[] { null, 3 })
        {
            using var result = StreamRunner.Run(model, Plan() with
            {
                Source = new RowSource(Enumerable.Repeat(new[] { 1, 2, 3 }, 6)), BatchTokens = 3, SkipFirst = 2, IgnoredTokens = [],
                Interventions = [new Intervention("blocks.0.hook_resid_pre", new NoiseOp(1) { Seed = seed })],
                Probes = [new StreamProbe("blocks.0.hook_resid_pre", new Reservoir(6))],
            });
            var first = result["blocks.0.hook_resid_pre"]["samples"].select(1, 0);
            Assert.Equal(6, first.data<double>().ToArray().Distinct().Count());
            first.Dispose();
        }
    }

    [Fact]
    public void Points_behind_the_blocks_are_gathered_too()
    {
        using var model = TinyModels.Make("gpt2");
        using var result = StreamRunner.Run(model, Plan() with { Probes = [new StreamProbe("ln_final.hook_normalized", new Moments()), new StreamProbe("hook_embed", new Moments())] });
        using var scope = NewDisposeScope();
        foreach (var probe in result.Probes)
            Assert.True(Golden.Distance(probe["mean"], StatisticsTests.Everything(model, probe.Name).Values.mean([0])) < 1e-11);
    }

    [Fact]
    public void Its_memory_does_not_grow_with_the_stream()
    {
        using var model = TinyModels.Make("gpt2");
        long Most(int rows)
        {
            var most = 0L;
            using var result = StreamRunner.Run(model, Plan() with { Source = new RowSource(Enumerable.Range(0, rows).Select(i => StatisticsTests.Rows[i % 7])) },
                progress: _ => most = Math.Max(most, Native.Operators.LiveTensors.Count));
            return most;
        }
        Assert.Equal(Most(30), Most(300));
    }

    [Fact]
    public void A_checkpoint_of_another_stream_is_refused_and_says_what_differs()
    {
        using var folder = new TemporaryFolder();
        using var model = TinyModels.Make("gpt2");
        var path = folder.File("c.safetensors");
        StreamRunner.Run(model, Plan(path)).Dispose();
        void Refused(StreamPlan plan, string says, TransformerModel? other = null)
        {
            var error = Assert.Throws<InterpException>(() => StreamRunner.Start(other ?? model, plan));
            Assert.Equal("CHECKPOINT_OF_OTHER_STREAM", error.Reason);
            Assert.Contains(says, error.Message, StringComparison.Ordinal);
        }
        Refused(Plan(path) with { BatchTokens = 31 }, "batches of 31");
        Refused(Plan(path) with { SkipFirst = 1 }, "counted from 1");
        Refused(Plan(path) with { Source = new RowSource([[1, 2, 3, 4, 5, 6, 7, 8, 9, 1]]) }, "source rows");
        Refused(Plan(path) with { Probes = [new StreamProbe(Post, new Moments())] }, "probe");
        Refused(Plan(path) with { Probes = [Everything[0], Everything[1] with { Statistics = [Histogram.Of(-1, 1, 8)] }, Everything[2]] }, "histogram");
        using var other = TinyModels.Make("gpt2", change: config => config with { Seed = 9 });
        Refused(Plan(path), "model", other);
        File.WriteAllText(path, "nothing");
        Assert.StartsWith("SAFETENSORS", Reason(() => StreamRunner.Start(model, Plan(path))), StringComparison.Ordinal);
    }

    [Fact]
    public void What_a_source_refuses_it_refuses_again()
    {
        using var model = TinyModels.Make("gpt2");
        using var stream = StreamRunner.Start(model, Plan() with { Source = new RowSource([[1, 2], [3, 40]]), BatchTokens = 100 });
        for (var i = 0; i < 2; i++) Assert.Equal("TOKEN_OUT_OF_RANGE", Reason(() => stream.Advance()));
    }

    [Fact]
    public void What_cannot_run_is_refused_before_anything_runs()
    {
        using var model = TinyModels.Make("gpt2");
        string With(Func<StreamPlan, StreamPlan> change) => Reason(() => StreamRunner.Start(model, change(Plan())));
        string At(string point, params Statistic[] statistics) => With(p => p with { Probes = [new StreamProbe(point, statistics)] });
        Assert.Equal("NO_PROBES", With(p => p with { Probes = [] }));
        Assert.Equal("NO_STATISTICS", At(Post));
        Assert.Equal("STATISTIC_TWICE", At(Post, new Moments(), new Moments(Moment.Variance)));
        Assert.Equal("UNKNOWN_HOOK_POINT", At("blocks.1.mlp.hook_pots", new Moments()));
        Assert.Equal("POINT_HAS_NO_WIDTH", At("blocks.1.attn.hook_pattern", new Moments()));
        Assert.Equal("HISTOGRAM_EDGES", At(Post, new Histogram([1, 1])));
        Assert.Equal("HISTOGRAM_EDGES", Reason(() => Histogram.Of(1, 0, 3)));
        Assert.Equal("TOP_K", At(Post, new TopExamples(0)));
        Assert.Equal("TOP_CONTEXT", At(Post, new TopExamples(1) { Before = -1 }));
        Assert.Equal("SAMPLE_COUNT", At(Post, new Reservoir(0)));
        Assert.Equal("PROBE_NAME_TWICE", With(p => p with { Probes = [new StreamProbe(Post, new Moments()), new StreamProbe(Post, new Firing())] }));
        Assert.Equal("STREAM_SELECTOR", With(p => p with { Probes = [Everything[0] with { Where = new Selector { Positions = Positions.At(0) } }] }));
        Assert.Equal("NO_HEAD_AXIS", With(p => p with { Probes = [Everything[1] with { Where = new Selector { Heads = Positions.At(0) } }] }));
        Assert.Equal("STREAM_TOO_LARGE", With(p => p with { MemoryLimit = 1000 }));
        Assert.Equal("BATCH_TOKENS", With(p => p with { BatchTokens = 0 }));
        Assert.Equal("SKIP_FIRST", With(p => p with { SkipFirst = 10 }));
        Assert.Equal("MAX_TOKENS", With(p => p with { MaxTokens = 0 }));
        Assert.Equal("CHECKPOINT_INTERVENTIONS", With(p => p with { Checkpoint = "x", Interventions = [new Intervention(Post, new ZeroOp())] }));
        Assert.Equal("STREAM_INTERVENTION", With(p => p with { Interventions = [new Intervention(Post, new MeanOp("a"))] }));
        Assert.Equal("SEQUENCE_TOO_LONG", With(p => p with { Source = new RowSource([new int[25]]) }));
        Assert.Equal("NO_ROWS", Reason(() => _ = new RowSource([])));
        Assert.Equal("EMPTY_ROW", Reason(() => _ = new RowSource([[1], []])));
        Assert.Equal("TOKEN_OUT_OF_RANGE", Reason(() => StreamRunner.Run(model, Plan() with { Source = new RowSource([[1, 40]]) })));
        Assert.Equal("NO_TOKENS", Reason(() => StreamRunner.Run(model, Plan() with { Source = new RowSource([[1, 2]]), IgnoredTokens = [1, 2] })));
        using var result = StreamRunner.Run(model, Plan());
        Assert.Equal("UNKNOWN_PROBE", Reason(() => _ = result["x"]));
        Assert.Equal("UNKNOWN_STATISTIC", Reason(() => _ = result[Post]["maen"]));
    }
}
