using InteropInterp.Models;
using InteropInterp.Patching;
using InteropInterp.Plans;
using InteropInterp.Plans.Interventions;
using InteropInterp.Plans.Metrics;
using InteropInterp.TestKit;

namespace InteropInterp.Benchmarks;

/// <summary>What a run costs beyond the arithmetic: hooks, memory of a cache, and how time grows with what is asked.</summary>
internal sealed class Growth(HookedTransformer model, LoadOptions options, Report report)
{
    private static readonly LogitDiff Difference = new([.. Enumerable.Repeat(11, 8)], [.. Enumerable.Repeat(12, 8)]);

    private readonly Clock clock = new(model.Model.Device);

    public void Run()
    {
        HookOverhead();
        foreach (var (batch, length) in new[] { (8, 128), (1, 1024) }) CacheMemory(batch, length);
        Cells();
        Lengths();
        Layers();
    }

    /// <summary>Twelve hooks that change nothing, in turn with none.</summary>
    private void HookOverhead()
    {
        var plan = new Plan { Rows = BenchmarkModel.Rows(1, 128), Outputs = Outputs.AllLogits };
        var hooked = plan with { Interventions = [new Intervention("*hook_resid_post", new CallbackOp((_, _) => null))] };
        var (without, with) = clock.Pair(() => model.Run(plan).Dispose(), () => model.Run(hooked).Dispose(), 41);
        report.Add("hook_overhead_b1_t128", ("without_s", without), ("with_12_s", with), ("ratio", with / without));
    }

    /// <summary>The most that a run with every activation cached holds beyond what it held before, over the bytes cached.</summary>
    private void CacheMemory(int batch, int length)
    {
        var plan = new Plan { Rows = BenchmarkModel.Rows(batch, length), Outputs = Outputs.None, Captures = [new Capture("*")] };
        model.Run(plan with { Captures = [] }).Dispose();
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var before = PeakMemory.Reset();
        using var run = model.Run(plan);
        var cached = run.Captures.Values.Sum(t => t.numel() * model.Model.ElementSize);
        var grown = PeakMemory.Read() - before;
        report.Add($"cache_memory_b{batch}_t{length}", ("cached_bytes", cached), ("peak_bytes", grown), ("ratio", (double)grown / cached));
    }

    /// <summary>A sweep of half of the heads, and of all.</summary>
    private void Cells()
    {
        var (clean, corrupt) = (BenchmarkModel.Rows(8, 15), BenchmarkModel.Rows(8, 15, 1));
        void Heads(int count) => model.Sweep(new Sweep
        {
            Base = new Plan { Rows = corrupt }, Source = new SweepFromRun(new Plan { Rows = clean }), Metric = Difference,
            Grid = SweepGrid.Of("attn_head_out_all_pos"), Heads = Positions.Slice(0, count),
        });
        var (half, whole) = clock.Pair(() => Heads(6), () => Heads(12), 3);
        report.Add("growth_cells_72_to_144", ("half_s", half), ("whole_s", whole), ("ratio", whole / half));
    }

    /// <summary>Forward passes of as many tokens in ever longer rows: what grows is attention's share.</summary>
    private void Lengths()
    {
        foreach (var (batch, length) in new[] { (8, 128), (4, 256), (2, 512), (1, 1024) })
        {
            var plan = new Plan { Rows = BenchmarkModel.Rows(batch, length), Outputs = Outputs.AllLogits };
            report.Add($"growth_length_b{batch}_t{length}", clock.Measure(() => model.Run(plan).Dispose()));
        }
    }

    /// <summary>The cached pass of models of 3, 6 and 12 layers.</summary>
    private void Layers()
    {
        foreach (var layers in new[] { 3, 6, 12 })
        {
            using var shallow = BenchmarkModel.OfLayers(layers, options);
            var plan = new Plan { Rows = BenchmarkModel.Rows(8, 128), Outputs = Outputs.None, Captures = [new Capture("*")] };
            report.Add($"growth_layers_{layers}", clock.Measure(() => shallow.Run(plan).Dispose(), 3));
        }
    }
}
