using InteropInterp.Heads;
using InteropInterp.Hooks;
using InteropInterp.Patching;
using InteropInterp.Plans;
using static TorchSharp.torch;

namespace InteropInterp.Studies;

/// <summary>
/// What carries the copying of a repeated segment? Rows are two segments. In the clean run both are A; corrupted runs have
/// other segments, and one part of the clean run's attention at a time is put into them. The metric is the mean log-probability
/// of A's tokens (from its second on) at the places of the second segment, whatever stands there. If queries decide, patching q
/// or the pattern restores AB, whose keys and values are right already; if values are copied, patching v restores BB, whose
/// pattern is right; where both are wrong only the heads' outputs z can (TransformerLens's Activation Patching demo).
/// </summary>
public static class InductionPatching
{
    private static readonly HookSite[] Sites = [HookSite.Z, HookSite.Q, HookSite.K, HookSite.V, HookSite.Pattern];

    /// <summary>The parts that are patched, in the order of the results.</summary>
    public static IReadOnlyList<string> Parts { get; } = ["z", "q", "k", "v", "pattern"];

    /// <summary>The corrupted runs: which segments they have.</summary>
    public static IReadOnlyList<string> Corruptions { get; } = ["AB", "BA", "BB", "BC"];

    internal static InductionPatchingResult Run(
        HookedTransformer model, RandomTokens random, HeadScores scores, InductionStudyOptions options,
        Action<StudyProgress>? progress, CancellationToken cancellation)
    {
        var layer = BestLayer(scores);
        int[] heads =
            [.. scores.Ranked(scores.Induction).Where(h => h.Layer == layer).Take(options.SingleHeads).Select(h => h.Head).Order()];
        var segments = "ABC".ToDictionary(name => name, name => random.Segments(name, options.PatchedRows));
        Plan Rows(string names) => new()
        {
            Rows = RepeatedTokens.Join(segments[names[0]], segments[names[1]], random.Bos),
            // Every query head has keys and values of its own, so that it can be patched alone.
            Flags = new ModelFlags { UngroupGroupedQueryAttention = true },
        };
        double Metric(Tensor logits) => MeanLogProb(logits, segments['A']);

        var parts = Sites.Select(site => new Capture(new HookPoint(site, layer).Name));
        using var clean = model.Run(Rows("AA") with { Captures = [.. parts] }, cancellation);
        var source = new SweepFromCache(clean.Captures);
        Sweep Cells(string corruption, HookSite site, params SweepAxis[] axes) => new()
        {
            Base = Rows(corruption), Source = source, Grid = new SweepGrid(site, axes), Layers = Positions.At(layer), Function = Metric,
        };

        var effects = new List<CorruptionEffect>();
        for (var i = 0; i < Corruptions.Count; i++)
        {
            var (together, alone, baseline) = (new double[Sites.Length], new double[Sites.Length][], 0.0);
            for (var part = 0; part < Sites.Length; part++)
            {
                progress?.Invoke(new StudyProgress("patching", i * Sites.Length + part, Corruptions.Count * Sites.Length));
                var whole = model.Sweep(Cells(Corruptions[i], Sites[part], SweepAxis.Layer), cancellation);
                (together[part], baseline) = (whole.Values[0], whole.Baseline);
                var each = Cells(Corruptions[i], Sites[part], SweepAxis.Layer, SweepAxis.Head) with { Heads = Positions.At(heads) };
                alone[part] = [.. model.Sweep(each, cancellation).Values];
            }
            effects.Add(new CorruptionEffect(Corruptions[i], baseline, together, alone));
        }
        progress?.Invoke(new StudyProgress("patching", Corruptions.Count * Sites.Length, Corruptions.Count * Sites.Length));
        var same = model.Sweep(Cells("AA", HookSite.Z, SweepAxis.Layer), cancellation);
        return new InductionPatchingResult { Layer = layer, Heads = heads, Clean = same.Baseline, Corruptions = effects };
    }

    // The layer whose heads attend most to what followed.
    private static int BestLayer(HeadScores scores) => Enumerable.Range(0, scores.Layers)
        .MaxBy(l => Enumerable.Range(0, scores.Heads).Sum(h => scores.Induction[l * scores.Heads + h]));

    /// <param name="logits">[rows, pos, vocabulary]; the last positions are the second segment's.</param>
    private static double MeanLogProb(Tensor logits, IReadOnlyList<int[]> segments)
    {
        using var scope = NewDisposeScope();
        var count = segments[0].Length - 1;
        var predictions = logits.narrow(1, logits.size(1) - count - 1, count);
        var ids = segments.SelectMany(s => s.Skip(1)).Select(t => (long)t).ToArray();
        var targets = tensor(ids, [segments.Count, count], device: logits.device).unsqueeze(-1);
        var logProbs = predictions.gather(-1, targets).squeeze(-1) - predictions.logsumexp(-1);
        return logProbs.mean().to(ScalarType.Float64).item<double>();
    }
}
