using InteropInterp.Models;
using InteropInterp.Patching;
using InteropInterp.Plans;
using InteropInterp.Plans.Interventions;
using InteropInterp.Plans.Metrics;

namespace InteropInterp.Benchmarks;

/// <summary>What a run costs beyond the arithmetic: hooks, memory of a cache, and how time grows with what is asked.</summary>
internal static class Growth
{
    private static readonly LogitDiff Difference = new([.. Enumerable.Repeat(11, 8)], [.. Enumerable.Repeat(12, 8)]);

    public static void Run(HookedTransformer model, Report report)
    {
        HookOverhead(model, report);
        foreach (var (batch, length) in new[] { (8, 128), (1, 1024) }) CacheMemory(model, report, batch, length);
        Cells(model, report);
        Lengths(model, report);
        Layers(report);
    }

    /// <summary>Twelve hooks that change nothing, in turn with none.</summary>
    private static void HookOverhead(HookedTransformer model, Report report)
    {
        var plan = new Plan { Rows = BenchmarkModel.Rows(1, 128), Outputs = Outputs.AllLogits };
        var hooked = plan with { Interventions = [new Intervention("*hook_resid_post", new CallbackOp((_, _) => null))] };
        var (without, with) = Clock.Pair(() => model.Run(plan).Dispose(), () => model.Run(hooked).Dispose(), 41);
        report.Add("hook_overhead_b1_t128", ("without_s", without), ("with_12_s", with), ("ratio", with / without));
    }

    /// <summary>The most that a run with every activation cached holds beyond what it held before, over the bytes cached.</summary>
    private static void CacheMemory(HookedTransformer model, Report report, int batch, int length)
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
    private static void Cells(HookedTransformer model, Report report)
    {
        var (clean, corrupt) = (BenchmarkModel.Rows(8, 15), BenchmarkModel.Rows(8, 15, 1));
        void Heads(int count) => model.Sweep(new Sweep
        {
            Base = new Plan { Rows = corrupt }, Source = new SweepFromRun(new Plan { Rows = clean }), Metric = Difference,
            Grid = SweepGrid.Of("attn_head_out_all_pos"), Heads = Positions.Slice(0, count),
        });
        var (half, whole) = Clock.Pair(() => Heads(6), () => Heads(12), 3);
        report.Add("growth_cells_72_to_144", ("half_s", half), ("whole_s", whole), ("ratio", whole / half));
    }

    /// <summary>Forward passes of as many tokens in ever longer rows: what grows is attention's share.</summary>
    private static void Lengths(HookedTransformer model, Report report)
    {
        foreach (var (batch, length) in new[] { (8, 128), (4, 256), (2, 512), (1, 1024) })
        {
            var plan = new Plan { Rows = BenchmarkModel.Rows(batch, length), Outputs = Outputs.AllLogits };
            report.Add($"growth_length_b{batch}_t{length}", Clock.Measure(() => model.Run(plan).Dispose()));
        }
    }

    /// <summary>The cached pass of models of 3, 6 and 12 layers.</summary>
    private static void Layers(Report report)
    {
        foreach (var layers in new[] { 3, 6, 12 })
        {
            using var model = BenchmarkModel.OfLayers(layers);
            var plan = new Plan { Rows = BenchmarkModel.Rows(8, 128), Outputs = Outputs.None, Captures = [new Capture("*")] };
            report.Add($"growth_layers_{layers}", Clock.Measure(() => model.Run(plan).Dispose(), 3));
        }
    }
}
