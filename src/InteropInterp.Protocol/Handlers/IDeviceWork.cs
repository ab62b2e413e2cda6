using InteropInterp.Native.Devices;
using static TorchSharp.torch;

namespace InteropInterp.Protocol.Handlers;

/// <summary>On which thread a door lets work run.</summary>
public interface IDeviceWork
{
    /// <summary>Work that computes on a device, step by step under its lease. The work is disposed, however it ends.</summary>
    /// <param name="isContinued">Part of something that has begun: taken in even where no new work is.</param>
    ValueTask<TResult> Run<TResult>(Device device, IStepwise<TResult> work, CancellationToken cancellation, bool isContinued = false);

    /// <summary>Work that takes long and needs no device: loading, hashing, tokenizing.</summary>
    ValueTask<TResult> Aside<TResult>(Func<TResult> work, CancellationToken cancellation);
}

/// <summary>Everything on the calling thread, where hooks run that the caller wrote.</summary>
public sealed class CallerWork : IDeviceWork
{
    public ValueTask<TResult> Run<TResult>(Device device, IStepwise<TResult> work, CancellationToken cancellation, bool isContinued = false) =>
        new(DeviceLeases.Of(device).Run(work, cancellation));

    public ValueTask<TResult> Aside<TResult>(Func<TResult> work, CancellationToken cancellation) => new(work());
}
