using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Plans;
using InteropInterp.Plans.Checking;
using InteropInterp.Plans.Interventions;
using InteropInterp.Streams.Statistics;

namespace InteropInterp.Streams;

/// <summary>A probe at one point.</summary>
internal sealed record CheckedProbe(StreamProbe Probe, HookPoint Point, StreamShape Shape);

/// <summary>Refuses streams that cannot run, and finds what streams past each probe.</summary>
internal static class StreamChecker
{
    public static IReadOnlyList<CheckedProbe> Check(TransformerModel model, StreamPlan plan)
    {
        InterpException.Require(plan.Probes.Count > 0, "NO_PROBES", "The stream has 0 probes: nothing would be gathered.");
        InterpException.Require(plan.BatchTokens > 0, "BATCH_TOKENS", $"batch_tokens is {plan.BatchTokens}; it must be above 0.");
        InterpException.Require(plan.SkipFirst >= 0 && plan.SkipFirst < plan.Source.RowLength, "SKIP_FIRST",
            $"skip_first is {plan.SkipFirst} of rows of {plan.Source.RowLength} tokens: nothing would be counted.");
        InterpException.Require(plan.MaxTokens is null or > 0, "MAX_TOKENS", $"max_tokens is {plan.MaxTokens}; it must be above 0.");
        InterpException.Require(plan.Checkpoint is null || plan.CheckpointEvery > 0, "CHECKPOINT_EVERY",
            $"A checkpoint after every {plan.CheckpointEvery} tokens; above 0 are expected.");
        InterpException.Require(plan.Checkpoint is null || plan.Interventions.Count == 0, "CHECKPOINT_INTERVENTIONS",
            $"The stream has {plan.Interventions.Count} interventions and a checkpoint, which could not tell whether they are the same when it goes on.");
        InterpException.Require(!plan.Interventions.Any(i => i.Gradient || i.Op.Reads is not null || !i.Where.Rows.IsAll), "STREAM_INTERVENTION",
            "Interventions of a stream take nothing from other runs, edit no gradients and select no rows.");
        if (plan.Source.RowLength > model.Config.ContextLength)
            throw InterpException.OutOfRange("SEQUENCE_TOO_LONG",
                $"The stream's rows have up to {plan.Source.RowLength} tokens; the model's n_ctx is {model.Config.ContextLength}. Cut them to that many.");
        var probes = plan.Probes.SelectMany(probe => Points(model, plan, probe)).ToList();
        if (probes.GroupBy(p => p.Shape.Name).FirstOrDefault(g => g.Count() > 1) is { } twice)
            throw InterpException.Invalid("PROBE_NAME_TWICE", $"{twice.Count()} probes are called '{twice.Key}'; give them names.");
        // Points and interventions of one pass, as it will run.
        PlanChecker.Check(model, Pass(model, plan, probes, [new Row([0])]));
        CheckSize(plan, probes);
        return probes;
    }

    /// <summary>The plan of one batch: it stops behind the last layer that anybody looks at.</summary>
    public static Plan Pass(TransformerModel model, StreamPlan plan, IReadOnlyList<CheckedProbe> probes, IReadOnlyList<Row> rows, long firstRow = 0)
    {
        // Draws are keyed by the row of a plan: each batch needs a key of its own.
        var key = unchecked((ulong)firstRow * 0x9E3779B97F4A7C15);
        var end = probes.Max(p => p.Point.Site > HookSite.ResidPost ? model.Config.LayerCount : p.Point.Layer + 1);
        return new Plan
        {
            Rows = rows,
            Seed = key,
            Flags = plan.Flags,
            Captures = [.. probes.Select(p => p.Probe.Capture with { Point = p.Point.Name, Name = p.Shape.Name })],
            // One that edits a later layer changes nothing that is looked at.
            Interventions =
            [
                .. plan.Interventions.Select(i => i with { Op = Keyed(i.Op, key), IsOptional = i.IsOptional || end < model.Config.LayerCount }),
            ],
            StopAtLayer = end < model.Config.LayerCount ? end : null,
        };
    }

    private static InterventionOp Keyed(InterventionOp op, ulong key) => op switch
    {
        ResampleOp { Seed: { } seed } one => one with { Seed = seed ^ key },
        NoiseOp { Seed: { } seed } one => one with { Seed = seed ^ key },
        _ => op,
    };

    private static IEnumerable<CheckedProbe> Points(TransformerModel model, StreamPlan plan, StreamProbe probe)
    {
        InterpException.Require(probe.Where.Rows.IsAll && probe.Where.Positions.IsAll, "STREAM_SELECTOR",
            $"The probe of '{probe.Point}' selects rows or positions; of a stream heads and entries of the last axis are selected.");
        InterpException.Require(probe.Statistics.Count > 0, "NO_STATISTICS", $"The probe of '{probe.Point}' gathers nothing: it has 0 statistics.");
        if (probe.Statistics.GroupBy(s => s.Kind).FirstOrDefault(g => g.Count() > 1) is { } twice)
            throw InterpException.Invalid("STATISTIC_TWICE", $"The probe of '{probe.Point}' has {twice.Count()} statistics '{twice.Key}'; one of each kind is expected.");
        var pass = PlanChecker.Check(model, new Plan { Rows = [new Row([0])], Flags = plan.Flags, Captures = [probe.Capture] });
        InterpException.Require(pass.Captures.Count > 0, "SELECTS_NOTHING", $"The probe of '{probe.Point}' matches 0 points.");
        var shapes = PlanCost.Of(model, pass).Captures;
        foreach (var capture in pass.Captures)
        {
            var axes = pass.Catalogue.Axes(capture.Point);
            InterpException.Require(axes.Count > 2 && !axes.Contains(HookAxis.KeyPosition), "POINT_HAS_NO_WIDTH",
                $"'{capture.Point.Name}' is [{string.Join(", ", axes)}]: a stream gathers points of a fixed number of values per token.");
            var shape = new StreamShape(capture.Name, [.. shapes[capture.Name].Skip(2)], plan.Source.RowLength, model.Device);
            foreach (var statistic in probe.Statistics) statistic.Check(shape);
            yield return new CheckedProbe(probe, capture.Point, shape);
        }
    }

    private static void CheckSize(StreamPlan plan, List<CheckedProbe> probes)
    {
        var sizes = probes.SelectMany(p => p.Probe.Statistics.Select(s => (p.Shape.Name, s.Kind, Bytes: s.Bytes(p.Shape)))).ToList();
        if (sizes.Sum(s => s.Bytes) is var bytes && bytes <= plan.MemoryLimit) return;
        var (name, kind, most) = sizes.MaxBy(s => s.Bytes);
        throw new InterpException(ErrorCode.ResourceExhausted, "STREAM_TOO_LARGE",
            $"The statistics need {bytes / (1 << 20):N0} MiB, the most of it ({most / (1 << 20):N0}) {kind} at '{name}'; the limit is "
            + $"{plan.MemoryLimit >> 20:N0} MiB. Gather at fewer points, or raise it.");
    }
}
