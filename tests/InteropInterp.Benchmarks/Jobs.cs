using InteropInterp.Attribution;
using InteropInterp.Generation;
using InteropInterp.Hooks;
using InteropInterp.Lenses;
using InteropInterp.Patching;
using InteropInterp.Plans;
using InteropInterp.Plans.Interventions;
using InteropInterp.Plans.Metrics;

namespace InteropInterp.Benchmarks;

/// <summary>The peers' jobs, under the peers' names, on the model they time.</summary>
internal sealed class Jobs(HookedTransformer model, Report report, string only)
{
    // The peers' patching prompts: eight of fifteen tokens, two answers each.
    private static readonly IReadOnlyList<Row> Clean = BenchmarkModel.Rows(8, 15);
    private static readonly IReadOnlyList<Row> Corrupt = BenchmarkModel.Rows(8, 15, 1);
    private static readonly int[][] Answers = BenchmarkModel.Tokens(8, 2, 2);
    private static readonly LogitDiff Difference = new([.. Answers.Select(a => a[0])], [.. Answers.Select(a => a[1])]);

    private readonly Clock clock = new(model.Model.Device);

    public void Run()
    {
        foreach (var (batch, length) in new[] { (1, 128), (8, 128), (1, 1024), (1, 1) })
        {
            var rows = BenchmarkModel.Rows(batch, length);
            Job($"forward_b{batch}_t{length}", () => Run(new Plan { Rows = rows, Outputs = Outputs.AllLogits }));
            if (length > 1) Job($"cache_all_b{batch}_t{length}", () => Run(new Plan { Rows = rows, Outputs = Outputs.AllLogits, Captures = [new Capture("*")] }), repeats: 3);
        }

        var long8 = BenchmarkModel.Rows(8, 128);
        Job("cache_resid_post_b8_t128", () => Run(new Plan { Rows = long8, Outputs = Outputs.AllLogits, Captures = [new Capture("*hook_resid_post")] }));
        Job("cache_resid_l6_stop_b8_t128", () => Run(new Plan { Rows = long8, StopAtLayer = 7, Captures = [new Capture("blocks.6.hook_resid_pre")] }));
        Job("logit_lens_b8_t128", () => model.Lens(new Plan { Rows = long8 }, new LensOptions { KeepLogits = true, TopK = 0 }).Dispose(), repeats: 3);
        var one = BenchmarkModel.Rows(1, 128);
        Job("hooks_noop12_b1_t128", () => Run(new Plan
        {
            Rows = one,
            Outputs = Outputs.AllLogits,
            Interventions = [new Intervention("*hook_resid_post", new CallbackOp((_, _) => null))],
        }));

        SweepJob("sweep_resid_pre", "resid_pre");
        SweepJob("sweep_attn_out", "attn_out");
        SweepJob("sweep_head_out_all_pos", "attn_head_out_all_pos");
        SweepJob("sweep_head_pattern_all_pos", "attn_head_pattern_all_pos");
        SweepJob("sweep_head_out_by_pos", "attn_head_out_by_pos");

        HookSite[] attributed =
        [
            HookSite.Z, HookSite.ResidPre, HookSite.AttnOut, HookSite.MlpOut, HookSite.Q, HookSite.K, HookSite.V, HookSite.Pattern,
        ];
        Job("attribution_patching_b8_t15", () => NodePatcher.Run(model.Model, new NodePatch
        {
            Clean = new Plan { Rows = Clean }, Corrupt = new Plan { Rows = Corrupt }, Metric = Difference, Sites = attributed,
        }).Dispose(), repeats: 3);

        foreach (var batch in new[] { 1, 8 })
        {
            var prompts = BenchmarkModel.Rows(batch, 32);
            Job($"generate_b{batch}_32+64", () => Run(new Plan
            {
                Rows = prompts,
                Generation = new GenerationOptions { MaxNewTokens = 64, Sample = false },
            }), repeats: 3);
        }
    }

    private void SweepJob(string job, string grid)
    {
        if (!Wanted(job)) return;
        var cells = 0;
        var figures = clock.Measure(() => cells = Sweep(model, grid, Clean, Corrupt, Difference).Values.Count, 3);
        report.Add(job, [("cells", cells), .. figures]);
    }

    /// <summary>Clean activations into corrupted prompts.</summary>
    public static SweepResult Sweep(HookedTransformer model, string grid, IReadOnlyList<Row> clean, IReadOnlyList<Row> corrupt, Metric metric) => model.Sweep(new Sweep
    {
        Base = new Plan { Rows = corrupt },
        Grid = SweepGrid.Of(grid),
        Source = new SweepFromRun(new Plan { Rows = clean }),
        Metric = metric,
    });

    private void Job(string job, Action action, int repeats = 5)
    {
        if (Wanted(job)) report.Add(job, clock.Measure(action, repeats));
    }

    private bool Wanted(string job) => job.Contains(only, StringComparison.Ordinal);

    private void Run(Plan plan) => model.Run(plan).Dispose();
}
