using InteropInterp.Studies;

namespace InteropInterp.Cli.Output;

/// <summary>A model study for programs: every number of the page but the patterns.</summary>
internal static class DemoJson
{
    public static object Of(ModelStudyResult study, string report)
    {
        var (r, p) = (study.Induction, study.Induction.Patching);
        return new
        {
            study.Model,
            report,
            loss = new
            {
                r.Rows,
                r.Period,
                first = r.FirstLoss,
                second = r.RepeatLoss,
                not_repeated = r.RandomLoss,
                guessing = r.UniformLoss,
                by_token = new { repeated = r.RepeatedLossByToken, not_repeated = r.RandomLossByToken },
            },
            scores = new { r.Scores.Layers, r.Scores.Heads, r.Scores.PreviousToken, r.Scores.DuplicateToken, r.Scores.Induction },
            patching = new
            {
                p.Layer,
                p.Heads,
                p.Clean,
                corruptions = p.Corruptions.ToDictionary(c => c.Name, c => new
                {
                    c.Baseline,
                    together = InductionPatching.Parts.Zip(c.AllHeads).ToDictionary(x => x.First, x => x.Second),
                    alone = InductionPatching.Parts.Zip(c.SingleHeads).ToDictionary(x => x.First, x => x.Second),
                }),
            },
            circuit = study.Circuit is not { } c ? null : new
            {
                edges = c.Ranked.Select(e => new { edge = c.Edges.Graph.NameOf(e.Sender, e.Receiver), nats = e.Score }),
                of = c.Edges.Graph.EdgeCount,
                c.Considered,
                c.Performance.Recovered,
                clean = c.Performance.Whole,
                without_any = c.Performance.None,
            },
            study.WhyNoCircuit,
            indirect_object = study.IndirectObject is not { } o ? null : new
            {
                o.Accuracy,
                clean = o.CleanByPrompt,
                corrupt = o.CorruptByPrompt,
                restored = o.Restored,
                top = o.Ranked().Take(10).Select(h => new { head = $"{h.Layer}.{h.Head}", h.Restored }),
            },
            study.WhyNoIndirectObject,
        };
    }
}
