using InteropInterp.Protocol.Errors;
using InteropInterp.Protocol.V1;
using static TorchSharp.torch;

namespace InteropInterp.Protocol.Mapping;

/// <summary>Element types.</summary>
public static class DataTypes
{
    private static readonly Dictionary<DataType, ScalarType> ToTorch = new()
    {
        [DataType.Float32] = ScalarType.Float32,
        [DataType.Float64] = ScalarType.Float64,
        [DataType.Float16] = ScalarType.Float16,
        [DataType.Bfloat16] = ScalarType.BFloat16,
        [DataType.Int64] = ScalarType.Int64,
        [DataType.Int32] = ScalarType.Int32,
        [DataType.Int16] = ScalarType.Int16,
        [DataType.Int8] = ScalarType.Int8,
        [DataType.Uint8] = ScalarType.Byte,
        [DataType.Bool] = ScalarType.Bool,
    };

    private static readonly Dictionary<ScalarType, DataType> FromTorch = ToTorch.ToDictionary(x => x.Value, x => x.Key);

    /// <exception cref="InterpException">FIELD_MISSING, UNKNOWN_ENUM_VALUE.</exception>
    public static ScalarType ToEngine(DataType type, string field) => ToTorch.TryGetValue(type, out var torch)
        ? torch
        : type == DataType.Unspecified ? throw Fields.Missing(field, "a data type") : throw Fields.UnknownValue(field, type);

    /// <exception cref="InterpException">DATA_TYPE_NOT_SENT: complex numbers have no type here.</exception>
    public static DataType ToProto(ScalarType type) => FromTorch.TryGetValue(type, out var proto)
        ? proto
        : throw InterpException.Invalid("DATA_TYPE_NOT_SENT", $"A tensor of type {type} cannot be sent; these can: {string.Join(", ", FromTorch.Keys)}.");
}
