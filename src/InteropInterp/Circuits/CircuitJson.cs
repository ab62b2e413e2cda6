using System.Text.Json;
using System.Text.Json.Nodes;
using InteropInterp.Models;

namespace InteropInterp.Circuits;

/// <summary>
/// Circuits as JSON, in the layout of EAP-IG's Graph.to_json: {cfg, nodes: {name: {in_graph}}, edges: {"a0.h1->a2.h3&lt;q&gt;": {score,
/// in_graph}}}. Of grouped keys, heads of k and v are key heads.
/// </summary>
public static class CircuitJson
{
    /// <summary>A circuit as text.</summary>
    /// <param name="scores">Of its edges; null: 0.</param>
    public static string Write(Circuit circuit, EdgeScores? scores = null)
    {
        var graph = circuit.Graph;
        if (scores is not null) CircuitChecker.CheckFits(circuit, scores.Graph);
        var nodes = new JsonObject();
        for (var s = 0; s < graph.Senders.Count; s++) nodes[graph.Senders[s].Name] = new JsonObject { ["in_graph"] = circuit.HasEdgeFrom(s) };
        nodes["logits"] = new JsonObject { ["in_graph"] = true };
        var edges = new JsonObject();
        for (var r = 0; r < graph.Receivers.Count; r++)
            for (var s = 0; s < graph.Reaching(r); s++)
                edges[graph.NameOf(s, r)] = new JsonObject { ["score"] = scores?.Values[s, r] ?? 0, ["in_graph"] = circuit.Contains(s, r) };
        var c = graph.Config;
        return new JsonObject
        {
            ["cfg"] = new JsonObject
            {
                ["n_layers"] = c.LayerCount, ["n_heads"] = c.HeadCount, ["n_key_value_heads"] = c.KeyHeads,
                ["parallel_attn_mlp"] = c.ParallelBlocks, ["d_model"] = c.ModelWidth,
            },
            ["nodes"] = nodes,
            ["edges"] = edges,
        }.ToJsonString();
    }

    /// <summary>Reads a circuit of a model. Edges that the file does not name are not in it, and have score 0.</summary>
    /// <exception cref="InterpException">CIRCUIT_FILE: no such JSON, or of a model of another shape; UNKNOWN_EDGE and the like.</exception>
    public static (Circuit Circuit, EdgeScores Scores) Read(string json, TransformerConfig config)
    {
        var graph = new ResidualGraph(config);
        var values = new double[graph.Senders.Count, graph.Receivers.Count];
        var contained = new HashSet<(int, int)>();
        try
        {
            using var document = JsonDocument.Parse(json);
            CheckShape(document.RootElement.GetProperty("cfg"), config);
            foreach (var edge in document.RootElement.GetProperty("edges").EnumerateObject())
            {
                var (sender, receiver) = graph.ParseEdge(edge.Name);
                if (edge.Value.TryGetProperty("score", out var score)) values[sender, receiver] = score.GetDouble();
                if (edge.Value.GetProperty("in_graph").GetBoolean()) contained.Add((sender, receiver));
            }
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw InterpException.DataLoss("CIRCUIT_FILE", $"This is no circuit: {e.Message}", e);
        }
        return (Circuit.Of(graph, (s, r) => contained.Contains((s, r))), new EdgeScores(graph, values));
    }

    private static void CheckShape(JsonElement shape, TransformerConfig config)
    {
        foreach (var (name, expected) in new[] { ("n_layers", config.LayerCount), ("n_heads", config.HeadCount),
            ("d_model", config.ModelWidth) })
            if (shape.TryGetProperty(name, out var found) && found.GetInt32() != expected)
                throw InterpException.DataLoss("CIRCUIT_FILE",
                    $"The circuit is of a model with {name} = {found.GetInt32()}; this one has {expected}.");
    }
}
