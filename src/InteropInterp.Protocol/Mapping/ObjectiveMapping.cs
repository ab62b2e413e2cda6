using InteropInterp.Plans;
using InteropInterp.Plans.Metrics;
using InteropInterp.Protocol.Errors;

namespace InteropInterp.Protocol.Mapping;

/// <summary>Objectives and declared metrics.</summary>
public static class ObjectiveMapping
{
    public static Objective? ToEngine(V1.Objective? message, IReferences references, string field) => message is null ? null : new Objective
    {
        Metric = message.Metric is null ? null : ToEngine(message.Metric, $"{field}.metric"),
        Cotangents = message.Cotangents.ToDictionary(c => c.Key, c => references.Tensor(c.Value, $"{field}.cotangents[\"{c.Key}\"]")),
    };

    /// <exception cref="InterpException">FIELD_MISSING where no kind is chosen.</exception>
    public static Metric ToEngine(V1.Metric message, string field) => message.KindCase switch
    {
        V1.Metric.KindOneofCase.LogitDiff => new LogitDiff([.. message.LogitDiff.Correct], [.. message.LogitDiff.Incorrect])
        {
            Position = message.LogitDiff.HasPosition ? message.LogitDiff.Position : -1,
        },
        V1.Metric.KindOneofCase.LogProb => new LogProb([.. message.LogProb.Tokens])
        {
            Position = message.LogProb.HasPosition ? message.LogProb.Position : -1,
        },
        V1.Metric.KindOneofCase.Loss => new Loss(),
        _ => throw Fields.Missing($"{field}.kind", "logit_diff, log_prob or loss"),
    };

    public static V1.Objective? ToProto(Objective? value, IReferenceWriter writer)
    {
        if (value is null) return null;
        var message = new V1.Objective { Metric = value.Metric is null ? null : ToProto(value.Metric) };
        foreach (var (point, cotangent) in value.Cotangents) message.Cotangents[point] = writer.Tensor(cotangent);
        return message;
    }

    public static V1.Metric ToProto(Metric value) => value switch
    {
        LogitDiff d => new V1.Metric { LogitDiff = new V1.LogitDiffMetric { Correct = { d.Correct }, Incorrect = { d.Incorrect }, Position = d.Position } },
        LogProb p => new V1.Metric { LogProb = new V1.LogProbMetric { Tokens = { p.Tokens }, Position = p.Position } },
        Loss => new V1.Metric { Loss = new V1.LossMetric() },
        _ => throw new InterpException(ErrorCode.Unimplemented, "METRIC_NOT_SENT", $"The metric {value.GetType().Name} has no message."),
    };
}
