using System.Text.Json;
using InteropInterp.Attribution;
using InteropInterp.Heads;
using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Patching;
using InteropInterp.Plans;
using InteropInterp.Plans.Metrics;
using InteropInterp.Studies.IndirectObjects;
using InteropInterp.Training;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Attribution;

/// <summary>How far attribution patching tells what patching would do, over heads.</summary>
public class AgreementTests
{
    private static readonly (HookSite Site, string Grid)[] Heads =
    [
        (HookSite.Pattern, "attn_head_pattern_all_pos"), (HookSite.Z, "attn_head_out_all_pos"), (HookSite.V, "attn_head_v_all_pos"),
        (HookSite.Q, "attn_head_q_all_pos"), (HookSite.K, "attn_head_k_all_pos"),
    ];

    [Fact]
    public void On_the_induction_model_it_agrees_with_patching_over_heads()
    {
        // Half of the corrupted rows had another answer the first time round; the other half end with another question.
        var agreement = OnInduction((segment, other, i) => i % 2 == 0
            ? ([.. segment[..5], other, .. segment[6..]], segment[4], other)
            : (segment, segment[2], segment[3]));
        foreach (var site in new[] { HookSite.Z, HookSite.V, HookSite.Pattern }) Assert.True(agreement[site] > 0.95,
            $"{site}: {agreement[site]:F3}");
    }

    [Fact]
    public void A_head_that_works_through_saturated_attention_is_hidden_from_it()
    {
        // The token that is to be found again is another one: the previous-token head's work, which goes through later keys.
        var agreement = OnInduction((segment, other, _) => ([.. segment[..4], other, .. segment[5..]], segment[4], other));
        Assert.True(agreement[HookSite.Z] < 0.9, $"{agreement[HookSite.Z]:F3}");
    }

    // Rows of a segment and its first five tokens again; the fifth is the question, the sixth the answer.
    private static Dictionary<HookSite, double> OnInduction(Func<int[], int, int, (int[] First, int Question, int Wrong)> corruption)
    {
        using var model = HookedTransformer.FromPretrained("induction");
        var segments = RepeatedTokens.Segments(7, 0, 24, 9, [.. Enumerable.Range(5, 40)]).Where(s =>
            s.Distinct().Count() == s.Length).ToList();
        List<Row> clean = [], corrupt = [];
        List<int> correct = [], incorrect = [];
        foreach (var (i, segment) in segments.Index())
        {
            var (first, question, wrong) = corruption(segment, Enumerable.Range(5, 40).First(t => !segment.Contains(t)), i);
            clean.Add(new Row([InductionVocabulary.Bos, .. segment, .. segment[..5]]));
            corrupt.Add(new Row([InductionVocabulary.Bos, .. first, .. segment[..4], question]));
            correct.Add(segment[5]);
            incorrect.Add(wrong);
        }
        return Agreement(model.Model, clean, corrupt, new LogitDiff(correct, incorrect));
    }

    [Fact, Trait("Speed", "slow")]
    public void On_SmolLM2s_indirect_objects_it_agrees_with_patching_over_heads()
    {
        var folder = SharedFolder.Path("models", "09_smollm2_135m");
        using var facts = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "golden.json")));
        var ioi = facts.RootElement.GetProperty("ioi");
        int[][] Ids(string name) =>
            [.. ioi.GetProperty(name).EnumerateArray().Select(row => (int[])[.. row.EnumerateArray().Select(x => x.GetInt32())])];
        var answers = Ids("answer_ids");
        using var model = ModelLoader.Load(folder);
        var agreement = Agreement(model, Row.From(Ids("clean_ids")), Row.From(Ids("corrupt_ids")),
            new LogitDiff([.. answers.Select(a => a[0])], [.. answers.Select(a => a[1])]));
        Assert.True(agreement[HookSite.Z] > 0.95, $"{agreement[HookSite.Z]:F3}");
        Assert.True(agreement[HookSite.V] > 0.95, $"{agreement[HookSite.V]:F3}");
        // 0.920: head 17.4's pattern does most of its work through later queries whose softmax is saturated (1.95; 0.40 estimated).
        Assert.True(agreement[HookSite.Pattern] > 0.9, $"{agreement[HookSite.Pattern]:F3}");
    }

    // The prompts that a circuit is looked for with: names elsewhere in the sentence, two sentences.
    [Fact, Trait("Speed", "slow")]
    public void On_the_prompts_of_a_circuits_search_patterns_agree_too()
    {
        using var model = HookedTransformer.FromPretrained(SharedFolder.Path("models", "09_smollm2_135m"));
        var task = IndirectObjectPrompts.For(model.Tokenizer, 8).Task;
        var agreement = Agreement(model.Model, task.Clean, task.Corrupt, task.Metric);
        foreach (var site in new[] { HookSite.Z, HookSite.V, HookSite.Pattern }) Assert.True(agreement[site] > 0.95, $"{site} {agreement[site]:F3}");
    }

    // Pearson's correlation of estimates with patching's effects, by site; all of them are reported.
    private static Dictionary<HookSite, double> Agreement(TransformerModel model, IReadOnlyList<Row> clean, IReadOnlyList<Row> corrupt,
        Metric metric)
    {
        var pair = (Clean: new Plan { Rows = clean }, Corrupt: new Plan { Rows = corrupt });
        using var estimates = NodePatcher.Run(model, new NodePatch
        {
            Clean = pair.Clean, Corrupt = pair.Corrupt, Metric = metric, Sites = [.. Heads.Select(h => h.Site), HookSite.ResidPre],
        });
        using var repaired = NodePatcher.Run(model, new NodePatch
        {
            Clean = pair.Clean, Corrupt = pair.Corrupt, Metric = metric, Sites = [HookSite.Q, HookSite.K], FixQueriesAndKeys = true,
        });
        var result = new Dictionary<HookSite, double>();
        using var scope = NewDisposeScope();
        foreach (var (site, grid) in Heads.Append((HookSite.ResidPre, "resid_pre")))
        {
            var sweep = SweepRunner.Run(model, new Sweep
            {
                Base = pair.Corrupt, Source = new SweepFromRun(pair.Clean), Grid = SweepGrid.Of(grid), Metric = metric,
            });
            var effect = tensor(sweep.Values.ToArray()) - Native.Operators.Ops.Full([sweep.Values.Count], sweep.Baseline,
                ScalarType.Float64);
            Tensor Whole(Tensor nodes) => (site switch
            {
                HookSite.ResidPre => nodes,
                HookSite.Pattern => nodes.sum([2, 3]),
                _ => nodes.sum([1]),
            }).to(ScalarType.Float64).flatten();
            result[site] = Correlation(Whole(estimates.Denoising![site]), effect);
            var better = repaired.Denoising!.TryGetValue(site, out var fix) ? $"; with the QK fix {Correlation(Whole(fix), effect):F3}"
                : "";
            TestContext.Current.SendDiagnosticMessage($"{site}: r = {result[site]:F3}{better}; largest (estimate, effect): {Largest(Whole(estimates.Denoising![site]), effect)}");
        }
        return result;
    }

    private static string Largest(Tensor estimates, Tensor effects)
    {
        var (x, y) = (estimates.data<double>().ToArray(), effects.data<double>().ToArray());
        return string.Join(" ", Enumerable.Range(0, x.Length).OrderByDescending(i => Math.Abs(y[i])).Take(6).Select(i =>
            $"{i}: ({x[i]:F2}, {y[i]:F2})"));
    }

    private static double Correlation(Tensor a, Tensor b)
    {
        var (x, y) = (a - a.mean(), b - b.mean());
        return (x * y).sum().item<double>() / Math.Sqrt((x * x).sum().item<double>() * (y * y).sum().item<double>());
    }
}
