using InteropInterp.Reports;
using InteropInterp.Studies.IndirectObjects;
using Spectre.Console;
using static InteropInterp.Cli.Output.Tables;

namespace InteropInterp.Cli.Output;

/// <summary>An indirect-object circuit on the terminal.</summary>
internal static class IndirectObjectTables
{
    // As many as one reads.
    private const int TopSenders = 6;

    public static void Print(IAnsiConsole console, IndirectObjectCircuit c)
    {
        var b = c.Behaviour;
        console.Line($"{c.Model}: {b.Clean.Count} prompts, {b.Accuracy:P0} solved; logit difference {Number(b.Mean)}, " +
            $"answer swapped {Number(b.Swapped.Average())}, unrelated names {Number(b.Unrelated.Average())}.");
        var heads = Of("head", "role", "logits", "direct path", "restored", "lost", "attention to answer");
        foreach (var (role, list) in new[] { ("mover", c.Movers), ("negative", c.NegativeMovers), ("feeder", c.Feeders) })
            foreach (var head in list)
            {
                var i = head.Layer * c.Graph.Config.HeadCount + head.Index;
                heads.Add($"{head.Layer}.{head.Index}", role, Number(c.Direct.Heads[i]), Number(c.Paths[0].Lost[c.Graph.IndexOf(head)]), Number(c.Sweeps[0].Restored[i]),
                    Number(c.Sweeps[0].Lost[i]), Number(c.Attention.Answer[i]));
            }
        console.Titled("The heads that carry most, by shares of the logit difference", heads);
        var paths = Of(["into", .. Enumerable.Range(1, TopSenders).Select(i => $"{i}.")]);
        foreach (var path in c.Paths)
            paths.Add([path.Name, .. c.Graph.Senders.Zip(path.Lost).OrderByDescending(x => Math.Abs(x.Second)).Take(TopSenders).Select(x => $"{x.First} {Number(x.Second)}")]);
        console.Titled("By which paths", paths);
        var curve = Of("heads kept, all else mean-ablated", "edges", "recovered");
        foreach (var p in c.NodeCurve) curve.Add($"{c.Heads(p)}", $"{p.Edges:N0}", Number(p.Recovered));
        console.Titled("Size against what is recovered", curve);
        foreach (var (title, text) in IndirectObjectFindings.Of(c)) console.Line($"\n{title}: {text}");
        console.Line("");
    }
}
