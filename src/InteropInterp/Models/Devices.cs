using InteropInterp.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Models;

/// <summary>Devices by name.</summary>
public static class Devices
{
    /// <summary>"cpu", "cuda" (the first of them) or "cuda:N".</summary>
    /// <exception cref="InterpException">UNKNOWN_DEVICE, DEVICE_NOT_PRESENT: says which there are.</exception>
    public static Device Of(string name)
    {
        LibTorch.Load();
        if (name is "cpu" or "cpu:0") return CPU;
        var index = 0;
        if (name != "cuda" && !(name.StartsWith("cuda:", StringComparison.Ordinal) && int.TryParse(name.AsSpan(5), out index) && index >= 0))
            throw InterpException.Unknown("UNKNOWN_DEVICE", "device", name, Present().Append("cuda").Append("cuda:0").Distinct());
        var count = CudaCount();
        return index < count ? new Device(DeviceType.CUDA, index) : throw NotPresent(name, count);
    }

    /// <summary>A device's name: "cpu", "cuda:N".</summary>
    public static string Name(Device device) =>
        device.type == DeviceType.CUDA ? $"cuda:{Math.Max(0, device.index)}" : device.type.ToString().ToLowerInvariant();

    /// <summary>Names of the devices there are.</summary>
    public static IReadOnlyList<string> Present()
    {
        LibTorch.Load();
        return ["cpu", .. Enumerable.Range(0, CudaCount()).Select(i => $"cuda:{i}")];
    }

    /// <summary>Waits until everything asked of a device is done: CUDA computes behind the caller's back. For clocks.</summary>
    public static void Synchronize(Device device)
    {
        if (device.type == DeviceType.CUDA) cuda.synchronize(device);
    }

    private static int CudaCount() => cuda.is_available() ? cuda.device_count() : 0;

    private static InterpException NotPresent(string name, int count)
    {
        var info = LibTorch.Info!;
        var why = count > 0
            ? $"there are cpu and cuda:0{(count > 1 ? $" to cuda:{count - 1}" : "")}"
            : info.HasCudaLibraries
                ? "this libtorch has CUDA, but it sees no device (nvidia-smi says whether the driver does); there is cpu"
                : "this libtorch is without CUDA; there is cpu. INTEROPINTERP_LIBTORCH names the lib folder of a Python torch 2.10 to 2.12 with CUDA";
        return InterpException.Precondition("DEVICE_NOT_PRESENT",
            $"The device '{name}' is not present: {why}. (libtorch {info.Version}, {info.Origin}, in {info.Folder})");
    }
}
