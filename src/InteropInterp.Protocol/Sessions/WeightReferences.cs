using InteropInterp.Protocol.Tensors;

namespace InteropInterp.Protocol.Sessions;

/// <summary>References to weights, which go with what they belong to.</summary>
public sealed class WeightReferences(TensorStore tensors) : IDisposable
{
    private readonly Lock gate = new();
    private readonly List<long> numbers = [];
    private bool isClosed;

    public void Add(StoredTensor weight)
    {
        lock (gate)
        {
            numbers.Add(weight.Number);
            if (!isClosed) return;
        }
        tensors.Delete([weight.Number]);
    }

    public void Dispose()
    {
        lock (gate) isClosed = true;
        tensors.Delete(numbers);
    }
}
