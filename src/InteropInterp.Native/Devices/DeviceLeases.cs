using System.Collections.Concurrent;
using static TorchSharp.torch;

namespace InteropInterp.Native.Devices;

/// <summary>The lease of each device of this process.</summary>
public static class DeviceLeases
{
    private static readonly ConcurrentDictionary<(TorchSharp.DeviceType, int), DeviceLease> Leases = new();

    public static DeviceLease Of(Device device) => Leases.GetOrAdd((device.type, device.index), _ => new DeviceLease());
}
