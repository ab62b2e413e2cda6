using InteropInterp.Dictionaries.Captures;
using InteropInterp.Plans;
using InteropInterp.Protocol.Errors;

namespace InteropInterp.Protocol.Mapping;

/// <summary>Captures.</summary>
public static class CaptureMapping
{
    private static readonly Dictionary<V1.DictionaryPart, DictionaryPart> Parts = new()
    {
        [V1.DictionaryPart.Codes] = DictionaryPart.Codes,
        [V1.DictionaryPart.PreActivations] = DictionaryPart.PreActivations,
        [V1.DictionaryPart.Reconstruction] = DictionaryPart.Reconstruction,
        [V1.DictionaryPart.Error] = DictionaryPart.Error,
    };

    /// <exception cref="InterpException">FIELD_MISSING, UNKNOWN_ENUM_VALUE, UNKNOWN_DICTIONARY.</exception>
    public static Capture ToEngine(V1.Capture message, IReferences references, string field) => new(Required(message.Point, $"{field}.point"))
    {
        Where = SelectorMapping.ToEngine(message.Where, $"{field}.where"),
        Before = message.Before,
        Gradient = message.Gradient,
        Name = message.Name.Length > 0 ? message.Name : null,
        Transform = message.Codes is { } codes ? new DictionaryCapture(references.Dictionary(codes.Dictionary), ToEngine(codes.Part, $"{field}.codes.part")) : null,
    };

    public static V1.Capture ToProto(Capture value, IReferenceWriter writer) => new()
    {
        Point = value.Point,
        Where = SelectorMapping.ToProto(value.Where),
        Before = value.Before,
        Gradient = value.Gradient,
        Name = value.Name ?? "",
        Codes = value.Transform switch
        {
            null => null,
            DictionaryCapture codes => new V1.CodesTransform { Dictionary = writer.Dictionary(codes.Dictionary), Part = Parts.First(p => p.Value == codes.Part).Key },
            var other => throw new InterpException(ErrorCode.Unimplemented, "TRANSFORM_NOT_SENT", $"The capture of '{other.Suffix}' has no message: it runs where it was made only."),
        },
    };

    internal static string Required(string point, string field) => point.Length > 0 ? point : throw Fields.Missing(field, "the name of a hook point, or a pattern with '*',");

    private static DictionaryPart ToEngine(V1.DictionaryPart part, string field) => part == V1.DictionaryPart.Unspecified ? DictionaryPart.Codes
        : Parts.TryGetValue(part, out var known) ? known : throw Fields.UnknownValue(field, part);
}
