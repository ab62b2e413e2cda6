namespace InteropInterp.Protocol.Errors;

/// <summary>Errors about single fields of a request.</summary>
public static class Fields
{
    /// <summary>Nothing was chosen of a oneof, or a message is missing that must be there.</summary>
    public static InterpException Missing(string field, string expected) => Invalid(field, "FIELD_MISSING", $"{field} is not set: {expected} is expected.");

    public static InterpException Invalid(string field, string reason, string message) =>
        new(ErrorCode.InvalidArgument, reason, message) { Field = field };

    /// <summary>A number that stands for nothing in an enum.</summary>
    public static InterpException UnknownValue(string field, Enum value) => Invalid(field, "UNKNOWN_ENUM_VALUE",
        $"{field} is {value:D}, which is no {value.GetType().Name} that this server knows: {string.Join(", ", Enum.GetNames(value.GetType()))}.");
}
