using static TorchSharp.torch;

namespace InteropInterp.Models;

/// <summary>Devices by name.</summary>
public static class Devices
{
    /// <summary>"cpu", "cuda" or "cuda:N".</summary>
    /// <exception cref="InterpException">UNKNOWN_DEVICE, DEVICE_NOT_PRESENT: says which there are.</exception>
    public static Device Of(string name)
    {
        Native.LibTorch.Load();
        if (name is "cpu" or "cpu:0") return CPU;
        if (name == "cuda" || name.StartsWith("cuda:", StringComparison.Ordinal))
        {
            var count = cuda.is_available() ? cuda.device_count() : 0;
            var index = 0;
            if (name.Contains(':', StringComparison.Ordinal) && !int.TryParse(name.AsSpan(5), out index)) throw Unknown(name);
            if (index < 0 || index >= count)
                throw InterpException.Precondition("DEVICE_NOT_PRESENT", count == 0
                    ? $"'{name}': this libtorch sees no CUDA device. Present: cpu."
                    : $"'{name}' is not present; there are cpu and cuda:0 to cuda:{count - 1}.");
            return new Device(TorchSharp.DeviceType.CUDA, index);
        }
        throw Unknown(name);
    }

    /// <summary>Refuses types that are not computed on a device: half precision on a CPU is fifty times slower than float32.</summary>
    /// <exception cref="InterpException">DTYPE_NOT_COMPUTED.</exception>
    public static void CheckComputes(string device, ScalarType type)
    {
        var onCpu = device.StartsWith("cpu", StringComparison.Ordinal);
        var valid = onCpu
            ? new[] { ScalarType.Float32, ScalarType.Float64 }
            : [ScalarType.Float32, ScalarType.Float64, ScalarType.BFloat16, ScalarType.Float16];
        if (!valid.Contains(type))
            throw InterpException.Invalid("DTYPE_NOT_COMPUTED",
                $"dtype {type} is not computed on '{device}'; {string.Join(", ", valid)} are. Files of any type load as these.");
    }

    /// <summary>Names of the devices there are.</summary>
    public static IReadOnlyList<string> Present()
    {
        Native.LibTorch.Load();
        var count = cuda.is_available() ? cuda.device_count() : 0;
        return ["cpu", .. Enumerable.Range(0, count).Select(i => $"cuda:{i}")];
    }

    private static InterpException Unknown(string name) => InterpException.Unknown("UNKNOWN_DEVICE", "device", name, ["cpu", "cuda", "cuda:0"]);
}
