using static TorchSharp.torch;

namespace InteropInterp.Models.Weights;

/// <summary>Reads source tensors in the compute type. The last one is kept: fused projections are asked for three times in a row.</summary>
public sealed class WeightReader(WeightMap map, ScalarType dtype) : IDisposable
{
    private string? lastName;
    private Tensor? last;

    public Tensor this[string name]
    {
        get
        {
            var resolved = map.Resolve(name);
            if (resolved == lastName) return last!;
            last?.Dispose();
            (last, lastName) = (null, null);
            last = map.Source.Read(resolved, dtype).DetachFromDisposeScope();
            lastName = resolved;
            return last;
        }
    }

    public void Dispose() => last?.Dispose();
}
