using static TorchSharp.torch;

namespace InteropInterp.Tests.Models;

/// <summary>Until it is disposed, tensors that are made without a device are made on the meta device. A setting of the process.</summary>
internal sealed class NoDefaultDevice : IDisposable
{
    public NoDefaultDevice() => set_default_device(META);

    public void Dispose() => set_default_device(CPU);
}

/// <summary>Tests that change the process's default device run by themselves.</summary>
[CollectionDefinition(nameof(NoDefaultDevice), DisableParallelization = true)]
public sealed class NoDefaultDeviceTests;
