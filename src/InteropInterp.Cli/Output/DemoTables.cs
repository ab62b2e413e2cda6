using InteropInterp.Heads;
using InteropInterp.Studies;
using InteropInterp.Studies.IndirectObjects;
using Spectre.Console;
using static InteropInterp.Cli.Output.Tables;

namespace InteropInterp.Cli.Output;

/// <summary>A model study on the terminal.</summary>
internal static class DemoTables
{
    // As many as one reads.
    private const int TopHeads = 6;

    public static void Print(IAnsiConsole console, ModelStudyResult study)
    {
        var r = study.Induction;
        console.Line($"{study.Model}: {r.Rows} rows of {r.Period} random tokens that come twice.");
        var losses = Of("where", "loss");
        losses.Add("first occurrence", Number(r.FirstLoss));
        losses.Add("second occurrence", Number(r.RepeatLoss));
        losses.Add("not repeated", Number(r.RandomLoss));
        losses.Add("guessing", Number(r.UniformLoss));
        console.Titled("Loss, nats per token", losses);
        console.Titled("Mean attention of the best heads", Scores(r.Scores));
        console.Titled(
            $"Mean log-probability of A in second place, layer {r.Patching.Layer}'s heads patched (clean AA {Number(r.Patching.Clean)})",
            Patching(r.Patching));
        console.Titled("Share of it that one head alone restores", SingleHeads(r.Patching));
        if (study.Circuit is { } circuit)
            console.Titled($"Edges that add most to it, nats (alone the {circuit.Performance.Edges} strongest keep {circuit.Performance.Recovered:P0})",
                Edges(circuit));
        else console.Line($"Who hands it on to whom: {study.WhyNoCircuit}");
        if (study.IndirectObject is { } indirect)
            console.Titled($"Indirect objects ({indirect.Accuracy:P0} solved): share of the answer that a head's output moves",
                IndirectObject(indirect));
        else console.Line($"Indirect objects: {study.WhyNoIndirectObject}");
    }

    private static Table Scores(HeadScores scores)
    {
        var table = Of("", "1st", "2nd", "3rd", "4th");
        void Row(string name, IReadOnlyList<double> kind)
        {
            var best = scores.Ranked(kind).Take(4).Select(h => $"{h.Layer}.{h.Head} {Number(h.Score)}").ToList();
            table.Add([name, .. best, .. Enumerable.Repeat("", 4 - best.Count)]);
        }
        Row("previous token", scores.PreviousToken);
        Row("duplicate token", scores.DuplicateToken);
        Row("induction", scores.Induction);
        return table;
    }

    private static Table Edges(InductionCircuit circuit)
    {
        var table = Of("edge", "nats");
        foreach (var (sender, receiver, score) in circuit.Ranked.Take(TopHeads))
            table.Add(circuit.Edges.Graph.NameOf(sender, receiver), Number(score));
        return table;
    }

    private static Table Patching(InductionPatchingResult r)
    {
        var table = Of(["corrupt", "nothing", .. InductionPatching.Parts]);
        foreach (var c in r.Corruptions) table.Add([c.Name, Number(c.Baseline), .. c.AllHeads.Select(Number)]);
        return table;
    }

    private static Table SingleHeads(InductionPatchingResult r)
    {
        var table = Of(["corrupt, head", .. InductionPatching.Parts]);
        foreach (var c in r.Corruptions)
            for (var i = 0; i < r.Heads.Count; i++)
                table.Add([$"{c.Name} {r.Layer}.{r.Heads[i]}", .. c.SingleHeads.Select(part => Number(r.Restored(c, part[i])))]);
        return table;
    }

    private static Table IndirectObject(IndirectObjectResult r)
    {
        var table = Of("head", "share");
        foreach (var head in r.Ranked().Take(TopHeads)) table.Add($"{head.Layer}.{head.Head}", Number(head.Restored));
        return table;
    }
}
