using InteropInterp.Hooks;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>
/// A dictionary of directions that an activation can be taken apart into, so that a sweep replaces single features. What the
/// dictionary does not reconstruct stays as it is (the error term is kept).
/// </summary>
public abstract class FeatureBasis
{
    /// <summary>The hook point whose activation it reads.</summary>
    public abstract string Point { get; }

    /// <summary>Features.</summary>
    public abstract int Count { get; }

    /// <summary>Refuses an activation that is none of its own.</summary>
    /// <param name="shape">[rows, pos, ...].</param>
    public abstract void Check(HookPoint point, IReadOnlyList<long> shape);

    /// <summary>Codes of some features.</summary>
    /// <param name="activation">[rows, pos, ...].</param>
    /// <returns>[rows, pos, count], in the current scope.</returns>
    public abstract Tensor Codes(Tensor activation, IReadOnlyList<int> features);

    /// <summary>What changing the code of each of some features, alone, adds to the activation.</summary>
    /// <param name="activation">[rows, pos, ...].</param>
    /// <param name="change">New code minus old: [rows, pos, count].</param>
    /// <returns>[count, rows, pos, ...], in the activation's type and the current scope.</returns>
    public abstract Tensor Changes(Tensor activation, Tensor change, IReadOnlyList<int> features);
}
