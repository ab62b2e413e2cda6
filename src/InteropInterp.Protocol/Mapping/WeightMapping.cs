using InteropInterp.Circuits.Weights;
using InteropInterp.Heads;
using InteropInterp.Lenses;
using InteropInterp.Protocol.Errors;

namespace InteropInterp.Protocol.Mapping;

/// <summary>What is read off weights, of heads and through lenses: the choices of requests, and tables of tokens.</summary>
internal static class WeightMapping
{
    public static bool IsOV(V1.HeadCircuit circuit) => circuit switch
    {
        V1.HeadCircuit.Unspecified or V1.HeadCircuit.Ov => true,
        V1.HeadCircuit.Qk => false,
        _ => throw Fields.UnknownValue("circuit", circuit),
    };

    public static Composition ToEngine(V1.CompositionKind kind) => kind switch
    {
        V1.CompositionKind.Q => Composition.Q,
        V1.CompositionKind.K => Composition.K,
        V1.CompositionKind.V => Composition.V,
        V1.CompositionKind.Unspecified => throw Fields.Missing("kind", "queries, keys or values"),
        _ => throw Fields.UnknownValue("kind", kind),
    };

    public static DirectionSource ToEngine(V1.DirectionSource source) => source switch
    {
        V1.DirectionSource.Ov => DirectionSource.OV,
        V1.DirectionSource.MlpIn => DirectionSource.MlpIn,
        V1.DirectionSource.MlpOut => DirectionSource.MlpOut,
        V1.DirectionSource.Unspecified => throw Fields.Missing("source", "OV, MLP_IN or MLP_OUT"),
        _ => throw Fields.UnknownValue("source", source),
    };

    public static PatternError ToEngine(V1.PatternError error) => error switch
    {
        V1.PatternError.Unspecified or V1.PatternError.Multiplied => PatternError.Multiplied,
        V1.PatternError.Absolute => PatternError.Absolute,
        _ => throw Fields.UnknownValue("error", error),
    };

    public static AttentionWeighting ToEngine(V1.WeightedBy by) => by switch
    {
        V1.WeightedBy.Unspecified or V1.WeightedBy.Output => AttentionWeighting.Output,
        V1.WeightedBy.Value => AttentionWeighting.Value,
        _ => throw Fields.UnknownValue("by", by),
    };

    public static TunedLensOptions ToEngine(V1.TunedLensOptions? message)
    {
        var options = new TunedLensOptions { Seed = message?.Seed ?? 0 };
        if (message is null) return options;
        if (message.HasSteps) options = options with { Steps = message.Steps };
        if (message.HasBatchSize) options = options with { BatchSize = message.BatchSize };
        return message.HasLearningRate ? options with { LearningRate = message.LearningRate } : options;
    }

    public static IReadOnlyList<HeadName> ToEngine(IEnumerable<V1.HeadName> heads) => [.. heads.Select(h => new HeadName(h.Layer, h.Head))];

    public static V1.Bigram ToProto(Bigram value) => new() { Token = value.Token, Next = { value.Next.Select(ToProto) } };

    public static V1.SkipTrigram ToProto(SkipTrigram value) => new()
    {
        Source = value.Source, Destinations = { value.Destinations.Select(ToProto) }, Outs = { value.Outs.Select(ToProto) },
    };

    public static V1.TokenPairValue ToProto(MatrixEntry value) => new() { Row = value.Row, Column = value.Column, Value = value.Value };

    private static V1.ScoredToken ToProto((int Token, double Score) value) => new() { Token = value.Token, Score = value.Score };
}
