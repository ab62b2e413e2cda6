using InteropInterp.Generation;
using InteropInterp.Plans;
using InteropInterp.Protocol.Errors;

namespace InteropInterp.Protocol.Mapping;

/// <summary>Plans: every field one way and the other, so that what was sent is what runs.</summary>
public static class PlanMapping
{
    /// <exception cref="InterpException">FIELD_MISSING, UNKNOWN_ENUM_VALUE, errors of tensors and references; each names the field.</exception>
    public static Plan ToEngine(V1.Plan? message, IReferences references, string field = "plan") => message is null ? throw Fields.Missing(field, "a plan") : new Plan
    {
        Rows = [.. message.Rows.Select(ToEngine)],
        PaddingSide = ModelMapping.ToEngine(message.PaddingSide, $"{field}.padding_side") ?? Tokens.PaddingSide.Right,
        Residual = message.Residual is null ? null : references.Tensor(message.Residual, $"{field}.residual"),
        StartAtLayer = message.HasStartAtLayer ? message.StartAtLayer : null,
        StopAtLayer = message.HasStopAtLayer ? message.StopAtLayer : null,
        Flags = ModelMapping.ToEngine(message.Flags),
        Captures = [.. message.Captures.Select((c, i) => CaptureMapping.ToEngine(c, references, $"{field}.captures[{i}]"))],
        Interventions = [.. message.Interventions.Select((x, i) => InterventionMapping.ToEngine(x, references, $"{field}.interventions[{i}]"))],
        Objective = ObjectiveMapping.ToEngine(message.Objective, references, $"{field}.objective"),
        Outputs = ToEngine(message.Outputs, $"{field}.outputs"),
        Sources = message.Sources.ToDictionary(s => s.Key, s => ToEngine(s.Value, references, $"{field}.sources[\"{s.Key}\"]")),
        Generation = ToEngine(message.Generation),
        Seed = message.Seed,
    };

    public static V1.Plan ToProto(Plan value, IReferenceWriter writer)
    {
        var message = new V1.Plan
        {
            Rows = { value.Rows.Select(ToProto) },
            PaddingSide = ModelMapping.ToProto(value.PaddingSide),
            Residual = value.Residual is { } residual ? writer.Tensor(residual) : null,
            Flags = ModelMapping.ToProto(value.Flags),
            Captures = { value.Captures.Select(c => CaptureMapping.ToProto(c, writer)) },
            Interventions = { value.Interventions.Select(x => InterventionMapping.ToProto(x, writer)) },
            Objective = ObjectiveMapping.ToProto(value.Objective, writer),
            Outputs = ToProto(value.Outputs),
            Generation = ToProto(value.Generation),
            Seed = value.Seed,
        };
        if (value.StartAtLayer is { } start) message.StartAtLayer = start;
        if (value.StopAtLayer is { } stop) message.StopAtLayer = stop;
        foreach (var (name, source) in value.Sources) message.Sources[name] = ToProto(source, writer);
        return message;
    }

    internal static Row ToEngine(V1.Row message) => new([.. message.Tokens]) { Mask = message.Mask.Count > 0 ? [.. message.Mask] : null };

    private static V1.Row ToProto(Row value) => new() { Tokens = { value.Tokens }, Mask = { value.Mask ?? [] } };

    private static Outputs ToEngine(V1.Outputs? message, string field) => message is null ? Outputs.None : new Outputs
    {
        Logits = message.Logits switch
        {
            V1.LogitsWanted.Unspecified or V1.LogitsWanted.None => LogitsWanted.None,
            V1.LogitsWanted.All => LogitsWanted.All,
            V1.LogitsWanted.Last => LogitsWanted.Last,
            var other => throw Fields.UnknownValue($"{field}.logits", other),
        },
        Loss = message.Loss,
        LossPerToken = message.LossPerToken,
    };

    private static V1.Outputs ToProto(Outputs value) => new()
    {
        Logits = value.Logits switch
        {
            LogitsWanted.All => V1.LogitsWanted.All,
            LogitsWanted.Last => V1.LogitsWanted.Last,
            _ => V1.LogitsWanted.None,
        },
        Loss = value.Loss,
        LossPerToken = value.LossPerToken,
    };

    private static GenerationOptions? ToEngine(V1.Generation? message) => message is null ? null : new GenerationOptions
    {
        MaxNewTokens = message.MaxNewTokens,
        StopTokens = [.. message.StopTokens],
        Sample = message.Sample,
        TopK = message.HasTopK ? message.TopK : null,
        TopP = message.HasTopP ? message.TopP : null,
        Temperature = message.HasTemperature ? message.Temperature : 1,
        FrequencyPenalty = message.FrequencyPenalty,
        RepetitionPenalty = message.RepetitionPenalty,
        UseCache = !message.NoCache,
    };

    private static V1.Generation? ToProto(GenerationOptions? value)
    {
        if (value is null) return null;
        var message = new V1.Generation
        {
            MaxNewTokens = value.MaxNewTokens,
            StopTokens = { value.StopTokens },
            Sample = value.Sample,
            Temperature = value.Temperature,
            FrequencyPenalty = value.FrequencyPenalty,
            RepetitionPenalty = value.RepetitionPenalty,
            NoCache = !value.UseCache,
        };
        if (value.TopK is { } k) message.TopK = k;
        if (value.TopP is { } p) message.TopP = p;
        return message;
    }
}
