using System.Text.RegularExpressions;
using InteropInterp.Circuits;
using InteropInterp.Reports;

namespace InteropInterp.Tests.Reports;

public class CircuitGraphTests
{
    [Fact]
    public void Edges_are_drawn_as_wide_as_they_weigh_from_below_to_above_and_say_what_they_are()
    {
        var graph = new ResidualGraph(TinyModels.Config("llama"));
        var weights = new Dictionary<string, double>
        {
            ["input->a0.h1<v>"] = 1, ["a0.h1->a1.h0<q>"] = 4, ["a1.h0->logits"] = -2, ["input->m1"] = 3, ["a0.h3->a2.h1<k>"] = 3.5,
        };
        var values = new double[graph.Senders.Count, graph.Receivers.Count];
        foreach (var (name, weight) in weights)
        {
            var (s, r) = graph.ParseEdge(name.Replace("a0.h1<v>", "a0.h0<v>"));
            values[s, r] = weight;
        }
        var scores = new EdgeScores(graph, values);
        var html = (CircuitGraph.Strongest("c", Circuit.Full(graph), scores) with { Marked = [Sender.Head(1, 0)] }).ToHtml();
        // m1 writes nothing on, those of layer 2 neither; heads 0 and 1 share their values, of which head 1 is drawn.
        Assert.Equal(["input-&gt;a0.h0&lt;v&gt;: 1", "a1.h0-&gt;logits: -2", "a0.h1-&gt;a1.h0&lt;q&gt;: 4"], Regex.Matches(html, "<title>([^<]*)</title>").Select(m => m.Groups[1].Value));
        var widths = Regex.Matches(html, "stroke-width=\"([^\"]+)\"").Select(m => double.Parse(m.Groups[1].Value, null)).ToList();
        Assert.Equal(widths.Order(), widths);
        Assert.Equal(6, widths[^1]);
        Assert.Single(Regex.Matches(html, "interp-against"));
        Assert.Single(Regex.Matches(html, "interp-edge interp-for interp-dotted"));
        Assert.Equal(4, Regex.Count(html, "class=\"interp-node"));
        Assert.Single(Regex.Matches(html, "interp-marked"));
        // Later layers stand higher.
        double Y(string node) => double.Parse(Regex.Match(html, $" y=\"([0-9.]+)\" text-anchor=\"middle\" dominant-baseline=\"central\">{node}<").Groups[1].Value, null);
        Assert.True(Y("logits") < Y("a1.h0") && Y("a1.h0") < Y("a0.h1") && Y("a0.h1") < Y("input"));
    }

    [Fact]
    public void A_circuit_without_edges_is_an_empty_drawing()
    {
        var graph = new ResidualGraph(TinyModels.Config("gpt2"));
        var html = CircuitGraph.Strongest("none", Circuit.Empty(graph), new EdgeScores(graph, new double[graph.Senders.Count, graph.Receivers.Count])).ToHtml();
        Assert.Contains("none", html);
        Assert.DoesNotContain("interp-edge", html);
    }
}
