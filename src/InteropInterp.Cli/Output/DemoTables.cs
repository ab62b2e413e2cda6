using InteropInterp.Heads;
using InteropInterp.Studies;
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
        var losses = Of("Loss, nats per token", "where", "loss");
        losses.Add("first occurrence", Number(r.FirstLoss));
        losses.Add("second occurrence", Number(r.RepeatLoss));
        losses.Add("not repeated", Number(r.RandomLoss));
        losses.Add("guessing", Number(r.UniformLoss));
        console.Write(losses);
        console.Write(Scores(r.Scores));
        console.Write(Patching(r.Patching));
        console.Write(SingleHeads(r.Patching));
        if (study.IndirectObject is { } indirect) console.Write(IndirectObject(indirect));
        else console.Line($"Indirect objects: {study.WhyNoIndirectObject}");
    }

    private static Table Scores(HeadScores scores)
    {
        var table = Of("Mean attention of the best heads", "", "1st", "2nd", "3rd", "4th");
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

    private static Table Patching(InductionPatchingResult r)
    {
        var table = Of($"Mean log-probability of A in second place, heads of layer {r.Layer} patched together (clean AA {Number(r.Clean)})", ["corrupt", "nothing", .. InductionPatching.Parts]);
        foreach (var c in r.Corruptions) table.Add([c.Name, Number(c.Baseline), .. c.AllHeads.Select(Number)]);
        return table;
    }

    private static Table SingleHeads(InductionPatchingResult r)
    {
        var table = Of("Share restored by one head alone", ["corrupt, head", .. InductionPatching.Parts]);
        foreach (var c in r.Corruptions)
            for (var i = 0; i < r.Heads.Count; i++) table.Add([$"{c.Name} {r.Layer}.{r.Heads[i]}", .. c.SingleHeads.Select(part => Number(r.Restored(c, part[i])))]);
        return table;
    }

    private static Table IndirectObject(IndirectObjectResult r)
    {
        var table = Of($"Indirect objects ({r.Accuracy:P0} solved): share of the answer that a head's output moves", "head", "share");
        foreach (var head in r.Ranked().Take(TopHeads)) table.Add($"{head.Layer}.{head.Head}", Number(head.Restored));
        return table;
    }
}
