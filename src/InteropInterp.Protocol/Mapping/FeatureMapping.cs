using InteropInterp.Dictionaries.Interventions;
using InteropInterp.Protocol.Errors;

namespace InteropInterp.Protocol.Mapping;

/// <summary>Edits of a dictionary's features.</summary>
public static class FeatureMapping
{
    /// <exception cref="InterpException">FIELD_MISSING where no edit is chosen.</exception>
    public static FeatureEdit ToEngine(V1.FeatureEdit message, string field) => message.EditCase switch
    {
        V1.FeatureEdit.EditOneofCase.Clamp => new ClampFeatures([.. message.Features], message.Clamp),
        V1.FeatureEdit.EditOneofCase.Scale => new ScaleFeatures([.. message.Features], message.Scale),
        _ => throw Fields.Missing($"{field}.edit", "clamp or scale"),
    };

    public static FeatureEdit ToEngine(V1.FeatureOp message, string field) => message.EditCase switch
    {
        V1.FeatureOp.EditOneofCase.Clamp => new ClampFeatures([.. message.Features], message.Clamp),
        V1.FeatureOp.EditOneofCase.Scale => new ScaleFeatures([.. message.Features], message.Scale),
        _ => throw Fields.Missing($"{field}.edit", "clamp or scale"),
    };

    public static V1.FeatureEdit ToProto(FeatureEdit value)
    {
        var message = new V1.FeatureEdit { Features = { value.Features } };
        if (value is ClampFeatures clamp) message.Clamp = clamp.Value;
        else message.Scale = Factor(value);
        return message;
    }

    public static V1.FeatureOp ToFeatureOp(FeatureEdit value, string dictionary)
    {
        var message = new V1.FeatureOp { Dictionary = dictionary, Features = { value.Features } };
        if (value is ClampFeatures clamp) message.Clamp = clamp.Value;
        else message.Scale = Factor(value);
        return message;
    }

    private static double Factor(FeatureEdit value) => value is ScaleFeatures scale
        ? scale.Factor
        : throw new InterpException(ErrorCode.Unimplemented, "EDIT_NOT_SENT", $"The edit {value.GetType().Name} has no message.");
}
