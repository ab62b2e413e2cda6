using InteropInterp.Patching;
using InteropInterp.Patching.Corruptions;
using InteropInterp.Plans;
using InteropInterp.Protocol.Errors;

namespace InteropInterp.Protocol.Mapping;

/// <summary>Corrupted runs of sweeps.</summary>
internal static class CorruptionMapping
{
    /// <exception cref="InterpException">FIELD_MISSING, UNKNOWN_ENUM_VALUE, errors of plans; each names the field.</exception>
    public static SweepCorruptions ToEngine(V1.CorruptionSource message, IReferences references, string field) => new(
        [.. message.Corruptions.Select((c, i) => ToEngine(c, references, $"{field}.corruptions[{i}]"))],
        AttributionMapping.ToEngine(message.Direction, PatchDirections.Both, $"{field}.direction"));

    public static V1.CorruptionSource ToProto(SweepCorruptions value, IReferenceWriter writer) => new()
    {
        Corruptions = { value.Corruptions.Select(c => ToProto(c, writer)) },
        Direction = (V1.PatchDirection)value.Directions,
    };

    private static Corruption ToEngine(V1.Corruption message, IReferences references, string field) => message.KindCase switch
    {
        V1.Corruption.KindOneofCase.Run => new CorruptRun(message.Name, PlanMapping.ToEngine(message.Run, references, $"{field}.run")),
        V1.Corruption.KindOneofCase.Tokens => new TokenReplacement(message.Name, [.. message.Tokens.Pairs.Select(p => (p.First, p.Second))])
        {
            Where = SelectorMapping.ToEngine(message.Tokens.Where, $"{field}.tokens.where") ?? Positions.All,
        },
        V1.Corruption.KindOneofCase.Noise => new GaussianNoise(message.Name, SelectorMapping.ToEngine(message.Noise.Where, $"{field}.noise.where"))
        {
            Deviation = message.Noise.HasDeviation ? message.Noise.Deviation : 3, Seed = message.Noise.Seed,
        },
        _ => throw Fields.Missing($"{field}.kind", "a run, tokens or noise"),
    };

    private static V1.Corruption ToProto(Corruption value, IReferenceWriter writer) => value switch
    {
        CorruptRun run => new V1.Corruption { Name = run.Name, Run = PlanMapping.ToProto(run.Run, writer) },
        TokenReplacement tokens => new V1.Corruption
        {
            Name = tokens.Name,
            Tokens = new V1.TokenReplacement
            {
                Pairs = { tokens.Pairs.Select(p => new V1.TokenPair { First = p.First, Second = p.Second }) }, Where = SelectorMapping.Chosen(tokens.Where),
            },
        },
        GaussianNoise noise => new V1.Corruption
        {
            Name = noise.Name,
            Noise = new V1.GaussianNoise { Where = SelectorMapping.ToProto(noise.Where), Deviation = noise.Deviation, Seed = noise.Seed },
        },
        _ => throw new InterpException(ErrorCode.Unimplemented, "CORRUPTION_NOT_SENT", $"The corruption {value.GetType().Name} has no message."),
    };
}
