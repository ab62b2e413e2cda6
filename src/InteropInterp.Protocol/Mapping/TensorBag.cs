using static TorchSharp.torch;

namespace InteropInterp.Protocol.Mapping;

/// <summary>Tensors that one call holds, whatever threads it runs on; they go with it.</summary>
public sealed class TensorBag : IDisposable
{
    private readonly List<Tensor> tensors = [];

    /// <summary>Takes a tensor out of its scope into the bag.</summary>
    public Tensor Add(Tensor tensor)
    {
        tensors.Add(tensor.DetachFromDisposeScope());
        return tensor;
    }

    public void Dispose()
    {
        foreach (var tensor in tensors) tensor.Dispose();
        tensors.Clear();
    }
}
