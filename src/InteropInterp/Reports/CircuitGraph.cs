using System.Globalization;
using System.Text;
using InteropInterp.Circuits;

namespace InteropInterp.Reports;

/// <summary>
/// A circuit as a drawing: components layer by layer from the embedding at the bottom to the logits at the top, and an edge wherever one
/// reads what another writes. Edges into queries are drawn through, into keys dashed, into values dotted, into MLPs and logits through; their
/// width is their weight, blue where they help and red where they work against it.
/// </summary>
/// <param name="Title">What it shows; also what a screen reader says.</param>
/// <param name="Edges">[sender, receiver, weight], of a graph.</param>
public sealed record CircuitGraph(string Title, ResidualGraph Graph, IReadOnlyList<(int Sender, int Receiver, double Weight)> Edges) : HtmlFragment
{
    private const double NodeWidth = 58, NodeHeight = 20, ColumnWidth = 74, RowHeight = 56, Left = 64, Margin = 12, MostWidth = 6;

    // Rows are put in order by where their neighbours stand; after a few rounds little moves.
    private const int OrderingRounds = 6;

    /// <summary>A title that says how edges are drawn.</summary>
    public const string Legend = "The strongest edges: into queries through, keys dashed, values dotted; blue helps, red works against";

    /// <summary>Nodes that are drawn strongly.</summary>
    public IReadOnlyList<Sender> Marked { get; init; } = [];

    /// <summary>The strongest edges of a circuit; those that come from nowhere or lead nowhere among them are left out.</summary>
    public static CircuitGraph Strongest(string title, Circuit circuit, EdgeScores scores, int most = 80)
    {
        var chosen = scores.Ranked().Where(e => circuit.Contains(e.Sender, e.Receiver) && e.Score != 0).Take(most).Select(e => (e.Sender, e.Receiver)).ToHashSet();
        var shown = Circuit.Of(circuit.Graph, (s, r) => chosen.Contains((s, r))).Pruned();
        return new CircuitGraph(title, circuit.Graph, [.. shown.Edges.Select(e => (e.Sender, e.Receiver, scores.Values[e.Sender, e.Receiver]))]);
    }

    protected internal override void Write(StringBuilder html)
    {
        var lines = Lines();
        var rows = Rows(lines);
        var width = Left + ColumnWidth * rows.Select(r => r.Nodes.Count).DefaultIfEmpty(1).Max() + Margin;
        var height = RowHeight * rows.Count + Margin;
        var places = new Dictionary<string, (double X, double Y)>();
        foreach (var (at, row) in rows.Index())
            foreach (var (i, node) in row.Nodes.Index())
                places[node] = (Left + (width - Left - Margin) * (i + 0.5) / row.Nodes.Count, height - RowHeight * (at + 0.5) - Margin / 2);

        Svg.Begin(html, "interp-graph", Title, width, height, isFixed: true);
        foreach (var (at, row) in rows.Index()) Svg.Text(html, 4, height - RowHeight * (at + 0.5) - Margin / 2, row.Name, "start");
        var strongest = lines.Select(l => Math.Abs(l.Weight)).DefaultIfEmpty(1).Max();
        // The strongest on top.
        foreach (var line in lines.OrderBy(l => Math.Abs(l.Weight))) Draw(html, line, places[line.From], places[line.To], Math.Abs(line.Weight) / strongest);
        var marked = Marked.Select(m => m.Name).ToHashSet();
        foreach (var (node, (x, y)) in places)
        {
            html.Append($"<rect class=\"interp-node{(marked.Contains(node) ? " interp-marked" : "")}\" x=\"{Number(x - NodeWidth / 2)}\"");
            html.Append($" y=\"{Number(y - NodeHeight / 2)}\" width=\"{Number(NodeWidth)}\" height=\"{Number(NodeHeight)}\" rx=\"4\"/>");
            Svg.Text(html, x, y, node, style: "interp-cell");
        }
        html.Append("</svg></figure>\n");
    }

    private sealed record Line(string From, string To, ReceiverKind Kind, double Weight, string Name);

    // A key head that several heads share leads to those of them that are drawn.
    private List<Line> Lines()
    {
        var drawn = Edges.Select(e => e.Sender).ToHashSet();
        return [.. Edges.SelectMany(e =>
        {
            var receiver = Graph.Receivers[e.Receiver];
            var name = $"{Graph.NameOf(e.Sender, e.Receiver)}: {e.Weight.ToString("0.####", CultureInfo.InvariantCulture)}";
            var ends = receiver.Kind == ReceiverKind.Logits ? Enumerable.Repeat(receiver.Name, 1)
                : Graph.Feeds(e.Receiver).Where(drawn.Contains).Select(s => Graph.Senders[s].Name);
            return ends.Select(to => new Line(Graph.Senders[e.Sender].Name, to, receiver.Kind, e.Weight, name));
        })];
    }

    private List<(string Name, List<string> Nodes)> Rows(List<Line> lines)
    {
        var known = Graph.Senders.ToDictionary(s => s.Name);
        (int Order, string Name) RowOf(string node) => !known.TryGetValue(node, out var s) ? (int.MaxValue, "")
            : s.Kind switch
            {
                SenderKind.Head => (2 * s.Layer, $"L{s.Layer} attn"),
                SenderKind.Mlp => (2 * s.Layer + 1, $"L{s.Layer} mlp"),
                _ => (-1, ""),
            };
        var rows = lines.SelectMany(l => new[] { l.From, l.To }).Distinct().GroupBy(RowOf).OrderBy(g => g.Key.Order)
            .Select(g => (g.Key.Name, Nodes: g.Order(StringComparer.Ordinal).ToList())).ToList();
        var neighbours = lines.SelectMany(l => new[] { (l.From, l.To), (l.To, l.From) }).ToLookup(x => x.Item1, x => x.Item2);
        for (var round = 0; round < OrderingRounds; round++)
        {
            var at = rows.SelectMany(r => r.Nodes.Select((n, i) => (n, (i + 0.5) / r.Nodes.Count))).ToDictionary(x => x.n, x => x.Item2);
            for (var r = 0; r < rows.Count; r++)
                rows[r] = rows[r] with { Nodes = [.. rows[r].Nodes.OrderBy(n => neighbours[n].Average(other => at[other])).ThenBy(n => n, StringComparer.Ordinal)] };
        }
        return rows;
    }

    private static void Draw(StringBuilder html, Line line, (double X, double Y) from, (double X, double Y) to, double strength)
    {
        // Queries come in on the left of a head, keys in the middle, values on the right.
        var end = to.X + line.Kind switch { ReceiverKind.Query => -NodeWidth / 4, ReceiverKind.Value => NodeWidth / 4, _ => 0 };
        var (top, bottom) = (from.Y - NodeHeight / 2, to.Y + NodeHeight / 2);
        var middle = (top + bottom) / 2;
        var style = line.Kind switch { ReceiverKind.Key => " interp-dashed", ReceiverKind.Value => " interp-dotted", _ => "" };
        html.Append($"<path class=\"interp-edge {(line.Weight < 0 ? "interp-against" : "interp-for")}{style}\"");
        html.Append($" d=\"M{Number(from.X)} {Number(top)}C{Number(from.X)} {Number(middle)} {Number(end)} {Number(middle)} {Number(end)} {Number(bottom)}\"");
        html.Append($" stroke-width=\"{Number(0.6 + (MostWidth - 0.6) * strength)}\" stroke-opacity=\"{Number(0.35 + 0.6 * strength)}\">");
        html.Append($"<title>{Escape(line.Name)}</title></path>");
    }
}
