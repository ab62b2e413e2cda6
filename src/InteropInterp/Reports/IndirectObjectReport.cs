using InteropInterp.Circuits;
using InteropInterp.Studies.IndirectObjects;
using static InteropInterp.Reports.IndirectObjectFindings;

namespace InteropInterp.Reports;

/// <summary>The circuit of indirect objects as a page.</summary>
public static class IndirectObjectReport
{
    private const int TopHeads = 10, ShownPrompts = 8;

    /// <param name="tokens">The texts of each clean prompt's tokens.</param>
    public static ReportPage Page(IndirectObjectCircuit c, IReadOnlyList<IReadOnlyList<string>> tokens)
    {
        var findings = Of(c).ToDictionary(f => f.Title, f => f.Text);
        return new ReportPage(
            $"Who is meant: a circuit of {c.Model}",
            $"Indirect objects (Wang et al. 2022): two names, one of them again, and the sentence wants the other. {c.Graph.Config.LayerCount} layers of " +
            $"{c.Graph.Config.HeadCount} heads; {c.Prompts.Task.Clean.Count} prompts; names drawn with seed {c.Options.Seed}.",
            [
                new ReportSection("What it does", findings["Behaviour"], Prompts(c, tokens)),
                new ReportSection("The circuit", findings["The circuit"], Curves(c), Drawing(c)),
                Direct(c, findings["Negative components"]),
                Sweeps(c, findings["Sufficient and necessary"]),
                Movers(c, findings["Self-repair"]),
                Paths(c),
                new ReportSection("Is it complete, is it minimal", findings["Complete and minimal"], Knockouts(c), Minimality(c)),
                Agreements(c, findings["Estimates"]),
                new ReportSection("What this cannot show", findings["Scope"]),
            ]);
    }

    private static DataTable Prompts(IndirectObjectCircuit c, IReadOnlyList<IReadOnlyList<string>> tokens) => new(
        $"logit(answer) - logit(other name) of the first {Math.Min(ShownPrompts, tokens.Count)} prompts", ["prompt", "as it is", "answer swapped", "unrelated names"],
        [
            .. tokens.Take(ShownPrompts).Select((t, i) => (IReadOnlyList<string>)
                [string.Concat(t), Text(c.Behaviour.Clean[i]), Text(c.Behaviour.Swapped[i]), Text(c.Behaviour.Unrelated[i])]),
        ]);

    private static PointChart Curves(IndirectObjectCircuit c) => new PointChart(
        "Size against what is recovered, all else mean-ablated", "share of the heads, or of the edges, in percent (logarithmic)", "share of the logit difference",
        [
            new ChartPoints("heads (and all MLPs)", [.. c.NodeCurve.Select(p =>
                (100.0 * c.Heads(p) / c.Ranking.Count, p.Recovered, $"{c.Heads(p)} heads: {Percent(p.Recovered)}"))], true),
            new ChartPoints("edges", [.. c.EdgeCurve.Select(p =>
                (100.0 * p.Edges / c.Graph.EdgeCount, p.Recovered, $"{p.Edges} edges: {Percent(p.Recovered)}"))], true),
        ]) { IsLogarithmic = true };

    private static CircuitGraph Drawing(IndirectObjectCircuit c) =>
        CircuitGraph.Strongest(CircuitGraph.Legend, c.EdgeCircuit, c.Helping())
            with { Marked = [.. c.Movers, .. c.NegativeMovers, .. c.Feeders] };

    private static ReportSection Direct(IndirectObjectCircuit c, string text)
    {
        var others = c.Direct.Others.Where(o => Math.Abs(o.Value) > 1e-6).Select(o => $"{o.Name} {Text(o.Value)}").ToList();
        return new ReportSection(
            "Who writes the answer",
            $"What each component writes towards the answer itself, in logits, read off its output at the last position (direct logit attribution). All of it sums to {Text(c.Direct.Sum)}: " +
            $"heads {Text(c.Direct.Heads.Sum())}, MLPs {Text(c.Direct.Mlps.Sum())}{(others.Count > 0 ? $", {string.Join(", ", others)}" : "")}. {text}",
            Map("Heads, logits", c, c.Direct.Heads),
            new LineChart("By layer", "layer", "logits",
            [
                new ChartLine("heads together", [.. c.Direct.Heads.Chunk(c.Graph.Config.HeadCount).Select(h => h.Sum())]), new ChartLine("MLP", c.Direct.Mlps),
            ]));
    }

    private static ReportSection Sweeps(IndirectObjectCircuit c, string text) => new(
        "Each head alone, in both directions",
        $"Left: the head's output from the clean run in the corrupted one, and what it restores (0 as corrupted, 1 as clean). Right: from the corrupted run in the clean one, and what is lost. {text}",
        [.. c.Sweeps.SelectMany(s => new[] { Map($"Restored; {Said(s.Corruption)}", c, s.Restored), Map($"Lost; {Said(s.Corruption)}", c, s.Lost) })]);

    private static string Said(string corruption) => corruption == "swapped" ? "answer swapped" : "unrelated names";

    private static ReportSection Movers(IndirectObjectCircuit c, string text) => new(
        "The movers, and what feeds them",
        $"Movers are the heads whose direct paths to the logits carry most (at least {Percent(c.Options.Share)} of the difference, at most {c.Options.MostFollowed} of them); negative movers " +
        $"the same with the other sign; feeders those that carry most into the movers' queries, keys and values. {text}",
        new DataTable(
            "Direct: what is lost by the path to the logits alone. Attention is from the last position to the answer's name, to the other name first and again",
            ["head", "role", "direct", "logits", "answer", "other", "again"],
            [.. Rows(c, c.Movers, "mover"), .. Rows(c, c.NegativeMovers, "negative"), .. Rows(c, c.Feeders, "feeder")]));

    private static IEnumerable<IReadOnlyList<string>> Rows(IndirectObjectCircuit c, IEnumerable<Sender> heads, string role) => heads.Select(h =>
    {
        var i = h.Layer * c.Graph.Config.HeadCount + h.Index;
        return (IReadOnlyList<string>)
        [
            Short(h), role, Percent(c.Paths[0].Lost[c.Graph.IndexOf(h)]), Text(c.Direct.Heads[i]), Percent(c.Attention.Answer[i]), Percent(c.Attention.Other[i]),
            Percent(c.Attention.Again[i]),
        ];
    });

    private static ReportSection Paths(IndirectObjectCircuit c) => new(
        "By which paths",
        "Each component takes the values of the prompts with unrelated names, but only what some receivers read of it changes (path patching; MLPs between are recomputed). " +
        "Shares of the logit difference that are lost; below 0 where it grows.",
        [
            .. c.Paths.Select(p => Map($"Into {p.Name} ({string.Join(", ", p.Receivers)})", c,
                [.. Enumerable.Range(0, c.Ranking.Count).Select(i => p.Lost[c.Graph.IndexOf(c.HeadAt(i))])])),
            .. c.Paths.Select(p => new DataTable($"Most into {p.Name}", ["component", "lost"],
                [
                    .. c.Graph.Senders.Zip(p.Lost).OrderByDescending(x => Math.Abs(x.Second)).Take(TopHeads)
                        .Select(x => (IReadOnlyList<string>)[Short(x.First), Percent(x.Second)]),
                ])),
        ]);

    private static DataTable Knockouts(IndirectObjectCircuit c) => new(
        "Logit difference after the same heads are mean-ablated in both", ["without", "circuit", "model", "apart"],
        [
            ["nothing", Text(c.Found.Performance.Value), Text(c.Found.Performance.Whole), Text(Math.Abs(c.Found.Performance.Value - c.Found.Performance.Whole))],
            .. c.Found.Knockouts.Select(k => (IReadOnlyList<string>)
                [$"{k.Name} ({string.Join(", ", k.Knockout.Nodes.Select(Short))})", Text(k.Knockout.Circuit), Text(k.Knockout.Model), Text(k.Knockout.Incompleteness)]),
        ]);

    private static DataTable Minimality(IndirectObjectCircuit c) => new(
        "By how much the circuit moves without one of its heads", ["head", "share"],
        [.. c.Found.Minimality.Select(m => (IReadOnlyList<string>)[Short(m.Node), Percent(m.Change)])]);

    private static ReportSection Agreements(IndirectObjectCircuit c, string text) => new(
        "Estimates beside patching", text,
        [
            .. c.Agreements.Select(a => new PointChart($"{a.Site}: r = {Text(a.Correlation)}, slope {Text(a.Slope)}", "patched", "estimated, logits",
                [
                    new ChartPoints($"heads of {a.Site}", [.. a.Effects.Zip(a.Estimates).Select((p, i) =>
                    {
                        var heads = a.Effects.Count / c.Graph.Config.LayerCount;
                        return (p.First, p.Second, $"{i / heads}.{i % heads}: patched {Text(p.First)}, estimated {Text(p.Second)}");
                    })], false),
                ]) { Width = 300, Height = 240, HasDiagonal = true }),
        ]);

    private static Heatmap Map(string title, IndirectObjectCircuit c, IReadOnlyList<double> values)
    {
        var heads = c.Graph.Config.HeadCount;
        return new Heatmap(title, values, [.. Enumerable.Range(0, values.Count / heads).Select(l => $"L{l}")], [.. Enumerable.Range(0, heads).Select(h => $"H{h}")]);
    }
}
