using InteropInterp.Circuits;
using InteropInterp.Reports;
using InteropInterp.Studies.IndirectObjects;

namespace InteropInterp.Cli.Output;

/// <summary>An indirect-object circuit for programs: every number of the page. Tables of heads are [layer][head].</summary>
internal static class IndirectObjectJson
{
    // As many edges as the page's drawing can have.
    private const int ListedEdges = 80;

    public static object Of(IndirectObjectCircuit c, IReadOnlyList<IReadOnlyList<string>> tokens, string report, double seconds)
    {
        IReadOnlyList<double[]> Table(IReadOnlyList<double> heads) => [.. heads.Chunk(c.Graph.Config.HeadCount)];
        object Point(CircuitPerformance p, int size) => new { size, p.Edges, p.Value, p.Recovered };
        return new
        {
            c.Model,
            report,
            seconds,
            c.Options.Seed,
            prompts = tokens.Select(t => string.Concat(t)),
            behaviour = new
            {
                c.Behaviour.Mean, c.Behaviour.StandardError, c.Behaviour.Accuracy, c.Behaviour.First, c.Behaviour.Probability, c.Behaviour.Clean,
                c.Behaviour.Swapped, c.Behaviour.Unrelated,
            },
            direct = new
            {
                sum = c.Direct.Sum, heads = Table(c.Direct.Heads), mlps = c.Direct.Mlps, others = c.Direct.Others.ToDictionary(o => o.Name, o => o.Value),
            },
            sweeps = c.Sweeps.ToDictionary(s => s.Corruption, s => new { restored = Table(s.Restored), lost = Table(s.Lost) }),
            attention = new { answer = Table(c.Attention.Answer), other = Table(c.Attention.Other), again = Table(c.Attention.Again) },
            movers = Names(c.Movers),
            negative_movers = Names(c.NegativeMovers),
            feeders = Names(c.Feeders),
            paths = c.Paths.Select(p => new
            {
                into = p.Name, receivers = p.Receivers.Select(r => r.Name),
                lost = c.Graph.Senders.Zip(p.Lost).Where(x => x.Second != 0).ToDictionary(x => x.First.Name, x => x.Second),
            }),
            self_repair = new
            {
                c.Repair.Predicted, c.Repair.Actual, c.Repair.Repaired, backups = c.Repair.Backups.ToDictionary(b => b.Head.Name, b => b.Gain),
            },
            agreements = c.Agreements.Select(a => new { a.Site, a.Correlation, a.Slope, a.LargestError }),
            head_curve = c.NodeCurve.Select(p => Point(p, c.Heads(p))),
            edge_curve = c.EdgeCurve.Select(p => Point(p, p.Edges)),
            circuit = new
            {
                heads = Names(c.Found.Heads), c.Found.Performance.Recovered, c.Found.Performance.RecoveredOutside,
                minimality = c.Found.Minimality.ToDictionary(m => m.Node.Name, m => m.Change),
                knockouts = c.Found.Knockouts.Select(k => new
                {
                    k.Name, nodes = Names(k.Knockout.Nodes), k.Knockout.Circuit, k.Knockout.Model, k.Knockout.Incompleteness,
                }),
            },
            edges = new
            {
                count = c.EdgeCircuit.EdgeCount,
                strongest = c.Helping().Ranked().Take(ListedEdges).Select(e => new { edge = c.Graph.NameOf(e.Sender, e.Receiver), e.Score }),
            },
            findings = IndirectObjectFindings.Of(c).ToDictionary(f => f.Title, f => f.Text),
        };
    }

    private static IEnumerable<string> Names(IEnumerable<Sender> nodes) => nodes.Select(n => n.Name);
}
