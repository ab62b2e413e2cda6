using System.Collections.Concurrent;
using InteropInterp.Native.Devices;
using InteropInterp.Protocol.Handlers;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Server.Work;

/// <summary>A thread for each device, which takes the steps of all its runs in turn; what needs no device runs beside it.</summary>
internal sealed class DeviceWorkers(int queueLength) : IDeviceWork, IDisposable
{
    private readonly ConcurrentDictionary<(DeviceType, int), Lazy<DeviceWorker>> workers = new();

    public ValueTask<TResult> Run<TResult>(Device device, IStepwise<TResult> work, CancellationToken cancellation, bool isContinued = false)
    {
        var worker = workers.GetOrAdd((device.type, device.index), _ => new Lazy<DeviceWorker>(() => new DeviceWorker(DeviceLeases.Of(device), queueLength)));
        return new(isContinued ? worker.Value.Continue(work, cancellation) : worker.Value.Run(work, cancellation));
    }

    public ValueTask<TResult> Aside<TResult>(Func<TResult> work, CancellationToken cancellation) => new(Task.Run(work, cancellation));

    public void Dispose()
    {
        foreach (var worker in workers.Values) worker.Value.Dispose();
    }
}
