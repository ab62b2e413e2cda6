using InteropInterp.Plans;
using InteropInterp.Plans.Metrics;
using InteropInterp.Protocol.Errors;

namespace InteropInterp.Protocol.Mapping;

/// <summary>Objectives and declared metrics.</summary>
public static class ObjectiveMapping
{
    /// <summary>The names of metrics that need no function of the client.</summary>
    public const string Declared = "logit_diff, log_prob, loss, prob, kl_divergence, accuracy, rank, weighted";

    public static Objective? ToEngine(V1.Objective? message, IReferences references, string field) => message is null ? null : new Objective
    {
        Metric = message.Metric is null ? null : ToEngine(message.Metric, references, $"{field}.metric"),
        Cotangents = message.Cotangents.ToDictionary(c => c.Key, c => references.Tensor(c.Value, $"{field}.cotangents[\"{c.Key}\"]")),
    };

    /// <exception cref="InterpException">FIELD_MISSING where no kind is chosen; errors of references.</exception>
    public static Metric ToEngine(V1.Metric message, IReferences references, string field) => message.KindCase switch
    {
        V1.Metric.KindOneofCase.LogitDiff => new LogitDiff([.. message.LogitDiff.Correct], [.. message.LogitDiff.Incorrect])
        {
            Position = message.LogitDiff.HasPosition ? message.LogitDiff.Position : -1,
        },
        V1.Metric.KindOneofCase.LogProb => new LogProb([.. message.LogProb.Tokens]) { Position = message.LogProb.HasPosition ? message.LogProb.Position : -1 },
        V1.Metric.KindOneofCase.Loss => new Loss(),
        V1.Metric.KindOneofCase.Prob => new Prob([.. message.Prob.Tokens]) { Position = message.Prob.HasPosition ? message.Prob.Position : -1 },
        V1.Metric.KindOneofCase.KlDivergence => new KlDivergence(references.Tensor(message.KlDivergence.Reference, $"{field}.kl_divergence.reference"))
        {
            Position = message.KlDivergence.HasPosition ? message.KlDivergence.Position : -1,
        },
        V1.Metric.KindOneofCase.Accuracy => new Accuracy([.. message.Accuracy.Tokens])
        {
            Position = message.Accuracy.HasPosition ? message.Accuracy.Position : -1,
        },
        V1.Metric.KindOneofCase.Rank => new Rank([.. message.Rank.Tokens]) { Position = message.Rank.HasPosition ? message.Rank.Position : -1 },
        V1.Metric.KindOneofCase.Weighted => new Weighted(
            [.. message.Weighted.Tokens], references.Tensor(message.Weighted.Weights, $"{field}.weighted.weights"), ToEngine(message.Weighted.Of, $"{field}.weighted.of"))
        {
            Position = message.Weighted.HasPosition ? message.Weighted.Position : -1,
        },
        _ => throw Fields.Missing($"{field}.kind", $"one of {Declared},"),
    };

    public static V1.Objective? ToProto(Objective? value, IReferenceWriter writer)
    {
        if (value is null) return null;
        var message = new V1.Objective { Metric = value.Metric is null ? null : ToProto(value.Metric, writer) };
        foreach (var (point, cotangent) in value.Cotangents) message.Cotangents[point] = writer.Tensor(cotangent);
        return message;
    }

    public static V1.Metric ToProto(Metric value, IReferenceWriter writer) => value switch
    {
        LogitDiff d => new V1.Metric { LogitDiff = new V1.LogitDiffMetric { Correct = { d.Correct }, Incorrect = { d.Incorrect }, Position = d.Position } },
        LogProb p => new V1.Metric { LogProb = new V1.LogProbMetric { Tokens = { p.Tokens }, Position = p.Position } },
        Loss => new V1.Metric { Loss = new V1.LossMetric() },
        Prob p => new V1.Metric { Prob = new V1.ProbMetric { Tokens = { p.Tokens }, Position = p.Position } },
        KlDivergence k => new V1.Metric { KlDivergence = new V1.KlDivergenceMetric { Reference = writer.Tensor(k.Reference), Position = k.Position } },
        Accuracy a => new V1.Metric { Accuracy = new V1.AccuracyMetric { Tokens = { a.Tokens }, Position = a.Position } },
        Rank r => new V1.Metric { Rank = new V1.RankMetric { Tokens = { r.Tokens }, Position = r.Position } },
        Weighted w => new V1.Metric
        {
            Weighted = new V1.WeightedMetric { Tokens = { w.Tokens }, Weights = writer.Tensor(w.Weights), Of = (V1.TokenMeasure)(w.Of + 1), Position = w.Position },
        },
        _ => throw new InterpException(ErrorCode.Unimplemented, "METRIC_NOT_SENT", $"The metric {value.GetType().Name} has no message."),
    };

    private static TokenMeasure ToEngine(V1.TokenMeasure value, string field) => value switch
    {
        V1.TokenMeasure.Unspecified or V1.TokenMeasure.Logit => TokenMeasure.Logit,
        V1.TokenMeasure.LogProb => TokenMeasure.LogProb,
        V1.TokenMeasure.Prob => TokenMeasure.Prob,
        _ => throw Fields.UnknownValue(field, value),
    };
}
