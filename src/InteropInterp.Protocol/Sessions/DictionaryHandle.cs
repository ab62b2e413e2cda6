using InteropInterp.Dictionaries;
using InteropInterp.Protocol.Tensors;

namespace InteropInterp.Protocol.Sessions;

/// <summary>A client's share in a loaded dictionary, with what it has taken of it.</summary>
public sealed class DictionaryHandle(DictionaryShare share, TensorStore tensors) : IDisposable
{
    public DictionaryShare Share => share;
    public SparseDictionary Dictionary => share.Dictionary;
    public WeightReferences Weights { get; } = new(tensors);

    public void Dispose()
    {
        Weights.Dispose();
        share.Dispose();
    }
}
