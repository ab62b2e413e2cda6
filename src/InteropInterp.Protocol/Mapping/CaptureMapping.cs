using InteropInterp.Plans;
using InteropInterp.Protocol.Errors;

namespace InteropInterp.Protocol.Mapping;

/// <summary>Captures.</summary>
public static class CaptureMapping
{
    /// <exception cref="InterpException">FIELD_MISSING.</exception>
    public static Capture ToEngine(V1.Capture message, string field) => new(Required(message.Point, $"{field}.point"))
    {
        Where = SelectorMapping.ToEngine(message.Where, $"{field}.where"),
        Before = message.Before,
        Gradient = message.Gradient,
        Name = message.Name.Length > 0 ? message.Name : null,
    };

    public static V1.Capture ToProto(Capture value) => new()
    {
        Point = value.Point,
        Where = SelectorMapping.ToProto(value.Where),
        Before = value.Before,
        Gradient = value.Gradient,
        Name = value.Name ?? "",
    };

    internal static string Required(string point, string field) => point.Length > 0 ? point : throw Fields.Missing(field, "the name of a hook point, or a pattern with '*',");
}
