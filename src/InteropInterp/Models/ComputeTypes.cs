using static TorchSharp.torch;

namespace InteropInterp.Models;

/// <summary>The element types that models compute in.</summary>
public static class ComputeTypes
{
    private static readonly Dictionary<string, ScalarType> ByName = new()
    {
        ["float32"] = ScalarType.Float32, ["float64"] = ScalarType.Float64, ["bfloat16"] = ScalarType.BFloat16, ["float16"] = ScalarType.Float16,
        ["f32"] = ScalarType.Float32, ["f64"] = ScalarType.Float64, ["bf16"] = ScalarType.BFloat16, ["f16"] = ScalarType.Float16,
    };

    /// <summary>"float32", "float64", "bfloat16", "float16", or short: "f32", "f64", "bf16", "f16".</summary>
    /// <exception cref="InterpException">UNKNOWN_DTYPE.</exception>
    public static ScalarType Of(string name) =>
        ByName.TryGetValue(name, out var type) ? type : throw InterpException.Unknown("UNKNOWN_DTYPE", "dtype", name, ByName.Keys);

    /// <summary>Whether a type is half as wide as float32: its weights are prepared in float32, and rounded once.</summary>
    public static bool IsHalf(ScalarType type) => type is ScalarType.BFloat16 or ScalarType.Float16;

    /// <summary>Half types on the CPU, slow as they are: how their ways are tested without a card.</summary>
    internal static bool AllowHalfOnCpu { get; set; }

    /// <summary>Refuses types that are not computed on a device: half precision on a CPU is fifty times slower than float32.</summary>
    /// <exception cref="InterpException">DTYPE_NOT_COMPUTED.</exception>
    public static void Check(string device, ScalarType type)
    {
        var onCpu = device.StartsWith("cpu", StringComparison.Ordinal) && !AllowHalfOnCpu;
        var valid = onCpu
            ? new[] { ScalarType.Float32, ScalarType.Float64 }
            : [ScalarType.Float32, ScalarType.Float64, ScalarType.BFloat16, ScalarType.Float16];
        if (valid.Contains(type)) return;
        var why = onCpu && IsHalf(type) ? " Half precision is fifty times slower there than float32." : "";
        throw InterpException.Invalid("DTYPE_NOT_COMPUTED",
            $"dtype {type} is not computed on '{device}'; {string.Join(", ", valid)} are.{why} Files of any type load as these.");
    }
}
