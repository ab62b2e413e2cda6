using InteropInterp.Circuits;
using InteropInterp.Patching;
using InteropInterp.Protocol.Errors;
using static InteropInterp.Protocol.V1.CircuitTask;
using static TorchSharp.torch;

namespace InteropInterp.Protocol.Mapping;

/// <summary>Circuits, what they are run on, and how good they are.</summary>
public static class CircuitMapping
{
    /// <exception cref="InterpException">FIELD_MISSING, errors of plans and metrics; each names the field.</exception>
    public static CircuitTask ToEngine(V1.CircuitTask? message, IReferences references, string field = "task") =>
        message is null ? throw Fields.Missing(field, "a circuit task") : new CircuitTask
        {
            Prompts = PlanMapping.ToEngine(message.Prompts, references, $"{field}.prompts"),
            Ablation = message.AblationCase switch
            {
                AblationOneofCase.Corrupt => new SweepFromRun(PlanMapping.ToEngine(message.Corrupt, references, $"{field}.corrupt")),
                AblationOneofCase.Zero => new SweepZero(),
                AblationOneofCase.Mean => SweepMapping.ToEngine(message.Mean, references, $"{field}.mean"),
                AblationOneofCase.Resample => SweepMapping.ToEngine(message.Resample, references, $"{field}.resample"),
                AblationOneofCase.Cache => SweepMapping.ToCache(message.Cache, references, $"{field}.cache"),
                AblationOneofCase.Means => SweepMapping.ToMeans(message.Means, references, $"{field}.means"),
                AblationOneofCase.Samples => SweepMapping.ToEngine(message.Samples, references, $"{field}.samples"),
                _ => throw Fields.Missing($"{field}.ablation", "corrupted prompts, zero, a mean, a resample, a cache, means or samples"),
            },
            Metric = AttributionMapping.Metric(message.Metric, references, $"{field}.metric"),
        };

    public static V1.CircuitTask ToProto(CircuitTask value, IReferenceWriter writer)
    {
        var message = new V1.CircuitTask
        {
            Prompts = PlanMapping.ToProto(value.Prompts, writer), Metric = ObjectiveMapping.ToProto(value.Metric, writer),
        };
        switch (value.Ablation)
        {
            case SweepFromRun corrupt:
                message.Corrupt = PlanMapping.ToProto(corrupt.Run, writer);
                break;
            case SweepMean mean:
                message.Mean = SweepMapping.ToProto(mean, writer);
                break;
            case SweepResample resample:
                message.Resample = SweepMapping.ToProto(resample, writer);
                break;
            case SweepFromCache cache:
                message.Cache = SweepMapping.ToProto(cache, writer);
                break;
            case SweepFromMeans means:
                message.Means = SweepMapping.ToProto(means, writer);
                break;
            case SweepFromSamples samples:
                message.Samples = SweepMapping.ToProto(samples, writer);
                break;
            default:
                message.Zero = new V1.ZeroOp();
                break;
        }
        return message;
    }

    /// <exception cref="InterpException">FIELD_MISSING, CIRCUIT_MASK, CIRCUIT_FILE, UNKNOWN_EDGE, UNKNOWN_SENDER and the like.</exception>
    public static Circuit ToEngine(V1.Circuit? message, ResidualGraph graph, IReferences references, string field = "circuit") =>
        message?.KindCase switch
        {
            V1.Circuit.KindOneofCase.Edges => Circuit.OfEdges(graph, message.Edges.Edges),
            V1.Circuit.KindOneofCase.Nodes => Circuit.OfNodes(graph, message.Nodes.Senders.Select(Sender.Parse)),
            V1.Circuit.KindOneofCase.Mask => Masked(references.Tensor(message.Mask, $"{field}.mask"), graph, $"{field}.mask"),
            V1.Circuit.KindOneofCase.Json => CircuitJson.Read(message.Json, graph.Config).Circuit,
            _ => throw Fields.Missing($"{field}.kind", "edges, nodes, a mask or json"),
        };

    /// <summary>Bool [senders, receivers], in the current scope.</summary>
    public static Tensor Mask(Circuit circuit)
    {
        var graph = circuit.Graph;
        var mask = new bool[graph.Senders.Count, graph.Receivers.Count];
        foreach (var (sender, receiver) in circuit.Edges) mask[sender, receiver] = true;
        return tensor(mask, device: CPU);
    }

    public static V1.GetResidualGraphResponse ToProto(ResidualGraph graph)
    {
        var receivers = Enumerable.Range(0, graph.Receivers.Count).ToList();
        return new V1.GetResidualGraphResponse
        {
            Senders = { graph.Senders.Select(s => s.Name) },
            Receivers = { graph.Receivers.Select(r => r.Name) },
            Reaching = { receivers.Select(graph.Reaching) },
            Feeds = { receivers.Select(r => new V1.IndexList { Values = { graph.Feeds(r) } }) },
        };
    }

    public static V1.EvaluateCircuitsResponse ToProto(IReadOnlyList<CircuitPerformance> found)
    {
        var response = new V1.EvaluateCircuitsResponse { Whole = found[0].Whole, None = found[0].None };
        foreach (var one in found)
        {
            var message = new V1.CircuitPerformance { Edges = one.Edges, Nodes = one.Nodes, Value = one.Value };
            if (one.Outside is { } outside) message.Outside = outside;
            response.Circuits.Add(message);
        }
        return response;
    }

    private static Circuit Masked(Tensor mask, ResidualGraph graph, string field)
    {
        long senders = graph.Senders.Count, receivers = graph.Receivers.Count;
        using var scope = NewDisposeScope();
        if (mask.dtype != ScalarType.Bool || !mask.shape.SequenceEqual([senders, receivers]))
            throw Fields.Invalid(field, "CIRCUIT_MASK",
                $"{field} is {mask.dtype} [{string.Join(", ", mask.shape)}]; Bool [{senders}, {receivers}], senders and receivers of this model's residual graph, is expected.");
        var values = mask.cpu().contiguous().data<bool>().ToArray();
        for (var s = 0; s < senders; s++)
            for (var r = 0; r < receivers; r++)
                if (values[s * receivers + r] && !graph.HasEdge(s, r))
                    throw Fields.Invalid(field, "NO_PATH", $"{field} has {graph.NameOf(s, r)}: the receiver reads before the sender writes.");
        return Circuit.Of(graph, (s, r) => values[s * receivers + r]);
    }
}
