using System.Text.Json;
using InteropInterp.Plans;
using InteropInterp.Plans.Metrics;

namespace InteropInterp.Benchmarks;

/// <summary>The layer x position sweep of a real language model over eight indirect-object prompts.</summary>
internal static class SmolLM2
{
    /// <param name="file">The model's GGUF; its prompts are in golden.json beside it.</param>
    public static void Run(string file, Report report)
    {
        using var golden = JsonDocument.Parse(File.ReadAllText(Path.Combine(Path.GetDirectoryName(file)!, "golden.json")));
        var task = golden.RootElement.GetProperty("ioi");
        int[][] Ids(string name) => [.. task.GetProperty(name).EnumerateArray().Select(row => row.EnumerateArray().Select(id => id.GetInt32()).ToArray())];
        var answers = Ids("answer_ids");
        var (clean, corrupt) = (Row.From(Ids("clean_ids")), Row.From(Ids("corrupt_ids")));
        var metric = new LogitDiff([.. answers.Select(a => a[0])], [.. answers.Select(a => a[1])]);

        using var model = HookedTransformer.FromPretrained(file);
        report.Add("smollm2_forward", Clock.Measure(() => model.Run(new Plan { Rows = clean, Outputs = Outputs.AllLogits }).Dispose(), 3));
        foreach (var (job, grid) in new[] { ("smollm2_sweep_resid_pre", "resid_pre"), ("smollm2_sweep_head_out_all_pos", "attn_head_out_all_pos") })
        {
            var cells = 0;
            var figures = Clock.Measure(() => cells = Jobs.Sweep(model, grid, clean, corrupt, metric), 3);
            report.Add(job, [("cells", cells), .. figures]);
        }
    }
}
