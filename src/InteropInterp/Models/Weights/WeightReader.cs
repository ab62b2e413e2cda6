using InteropInterp.Tensors;
using static TorchSharp.torch;

namespace InteropInterp.Models.Weights;

/// <summary>Reads source tensors in the compute type. The last one is kept: fused projections are asked for three times in a row.</summary>
public sealed class WeightReader(WeightMap map, ScalarType dtype) : IDisposable
{
    private string? lastName;
    private Tensor? last;

    /// <summary>Whether the last tensor was converted, so that its memory is ours and not the file's.</summary>
    public bool LastIsOwn { get; private set; }

    public Tensor this[string name]
    {
        get
        {
            var resolved = map.Resolve(name);
            // The caller's scope gets a handle of its own: this one goes with the next name.
            if (resolved == lastName) return last!.alias();
            Forget();
            last = map.Source.Read(resolved, dtype).DetachFromDisposeScope();
            lastName = resolved;
            LastIsOwn = map.Source.Entries[resolved].Type.Torch() != dtype;
            return last.alias();
        }
    }

    /// <summary>Lets the last tensor go.</summary>
    public void Forget()
    {
        last?.Dispose();
        (last, lastName) = (null, null);
    }

    public void Dispose() => Forget();
}
