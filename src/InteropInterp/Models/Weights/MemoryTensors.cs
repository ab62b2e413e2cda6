using InteropInterp.Tensors;
using static TorchSharp.torch;

namespace InteropInterp.Models.Weights;

/// <summary>Tensors in memory, offered as a file would offer them: state dicts that a caller hands over. Borrows the tensors.</summary>
public sealed class MemoryTensors(IReadOnlyDictionary<string, Tensor> tensors) : ITensorSource
{
    public IReadOnlyDictionary<string, TensorEntry> Entries { get; } = tensors.ToDictionary(
        t => t.Key, t => new TensorEntry(t.Key, StorageTypes.Of(t.Value.dtype), t.Value.shape, 0, t.Value.numel() * t.Value.element_size()));

    public IReadOnlyDictionary<string, string> Metadata { get; } = new Dictionary<string, string>();

    public Tensor Read(string name) => Find(name).alias();

    public Tensor Read(string name, ScalarType dtype) => Find(name).dtype == dtype ? Find(name).alias() : Find(name).to(dtype);

    public Tensor ReadBytes(string name) => 
        Native.Interop.Dispatcher.Call("aten::view", "dtype", Find(name).contiguous().flatten(), (long)ScalarType.Byte);

    public void Dispose()
    {
    }

    private Tensor Find(string name) => tensors.TryGetValue(name, out var t)
        ? t
        : throw InterpException.Unknown("UNKNOWN_TENSOR", "tensor", name, tensors.Keys);
}
