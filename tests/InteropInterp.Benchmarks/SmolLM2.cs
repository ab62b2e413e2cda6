using System.Text.Json;
using InteropInterp.Models;
using InteropInterp.Patching;
using InteropInterp.Plans;
using InteropInterp.Plans.Metrics;
using InteropInterp.Tensors;
using static TorchSharp.torch;

namespace InteropInterp.Benchmarks;

/// <summary>A real language model: how far it is from its golden numbers, and the layer x position sweep over eight indirect-object prompts.</summary>
internal static class SmolLM2
{
    /// <param name="file">The model's GGUF; its prompts and numbers are in golden.json and golden.safetensors beside it.</param>
    public static void Run(string file, LoadOptions options, Report report)
    {
        var folder = Path.GetDirectoryName(Path.GetFullPath(file))!;
        using var facts = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "golden.json")));
        using var golden = SafeTensors.Open(Path.Combine(folder, "golden.safetensors"));
        var task = facts.RootElement.GetProperty("ioi");
        int[][] Ids(string name) => [.. task.GetProperty(name).EnumerateArray().Select(Numbers)];
        var answers = Ids("answer_ids");
        var (clean, corrupt) = (Row.From(Ids("clean_ids")), Row.From(Ids("corrupt_ids")));
        var metric = new LogitDiff([.. answers.Select(a => a[0])], [.. answers.Select(a => a[1])]);

        using (var unprocessed = HookedTransformer.FromPretrainedNoProcessing(file, options))
        using (NewDisposeScope())
        {
            var prompt = Numbers(facts.RootElement.GetProperty("prompts")[0].GetProperty("ids"));
            using var run = unprocessed.Run(new Plan { Rows = Row.From([prompt]), Outputs = new Outputs { Logits = LogitsWanted.Last } });
            report.Add("smollm2_golden", ("error", Distance(run.Logits!.flatten(), golden.Read("hf.logits_last"))));
        }

        using var model = HookedTransformer.FromPretrained(file, options);
        var clock = new Clock(model.Model.Device);
        report.Add("smollm2_forward", clock.Measure(() => model.Run(new Plan { Rows = clean, Outputs = Outputs.AllLogits }).Dispose(), 3));
        foreach (var grid in new[] { "resid_pre", "head_out_all_pos" })
        {
            SweepResult? sweep = null;
            var name = grid.StartsWith("head", StringComparison.Ordinal) ? $"attn_{grid}" : grid;
            var figures = clock.Measure(() => sweep = Jobs.Sweep(model, name, clean, corrupt, metric), 3);
            report.Add($"smollm2_sweep_{grid}", [("cells", sweep!.Values.Count), ("error", Error(sweep, $"ioi.{grid}")), .. figures]);
        }

        // The golden is (patched - corrupt) / (clean - corrupt).
        double Error(SweepResult sweep, string name)
        {
            using var scope = NewDisposeScope();
            using var run = model.Run(new Plan { Rows = clean, Objective = new Objective { Metric = metric } });
            var (low, high) = (sweep.Baseline, run.Metric!.to(ScalarType.Float64).mean().item<double>());
            return Distance(tensor(sweep.Values.Select(v => (v - low) / (high - low)).ToArray()), golden.Read(name).flatten());
        }
    }

    private static double Distance(Tensor ours, Tensor theirs) =>
        (ours.to(ScalarType.Float64).cpu() - theirs.to(ScalarType.Float64)).abs().max().item<double>();

    private static int[] Numbers(JsonElement array) => [.. array.EnumerateArray().Select(id => id.GetInt32())];
}
