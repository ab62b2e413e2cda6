using TorchSharp;

namespace InteropInterp.Native.Operators;

/// <summary>How many tensors this process holds: what leak checks compare.</summary>
public static class LiveTensors
{
    /// <summary>Tensors created and neither disposed nor collected.</summary>
    public static long Count => torch.Tensor.TotalCount;
}
