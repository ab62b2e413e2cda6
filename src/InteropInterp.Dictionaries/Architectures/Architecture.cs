using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Architectures;

/// <summary>
/// What makes sparse codes of pre-activations; the rest (encoder, decoder, normalisation) is every dictionary's own. Immutable;
/// owns its tensors once a dictionary has taken it over.
/// </summary>
public abstract class Architecture : IDisposable
{
    /// <summary>As cfg.json calls it.</summary>
    public abstract string Name { get; }

    /// <summary>Whether a feature's code depends on its own pre-activation alone, so that it can be computed without the others.</summary>
    public virtual bool IsElementwise => true;

    /// <summary>Codes of pre-activations.</summary>
    /// <param name="preActivations">[..., d_sae], or [..., count] where <paramref name="features"/> says which.</param>
    /// <param name="features">int64 [count]; only where <see cref="IsElementwise"/>.</param>
    /// <returns>A new tensor of the same shape in the current scope.</returns>
    public abstract Tensor Codes(Tensor preActivations, Tensor? features = null);

    /// <summary>The same architecture for pre-activations that are all multiplied by positive factors, feature by feature.</summary>
    /// <param name="factors">[d_sae].</param>
    /// <exception cref="InterpException">FOLD_CHANGES_CODES where that would choose other features.</exception>
    public abstract Architecture Scaled(Tensor factors);

    /// <summary>The same architecture for pre-activations that are all multiplied by one positive factor.</summary>
    public abstract Architecture Scaled(double factor);

    /// <summary>Another one over the same tensors.</summary>
    public Architecture Share() => Scaled(1);

    /// <summary>Its own tensors under SAELens's names, as views in the current scope.</summary>
    public virtual IReadOnlyDictionary<string, Tensor> Tensors => new Dictionary<string, Tensor>();

    /// <summary>Refuses tensors that do not fit a dictionary's width.</summary>
    /// <param name="width">d_sae.</param>
    public virtual void Check(int width)
    {
    }

    public void Dispose()
    {
        Release();
        GC.SuppressFinalize(this);
    }

    /// <summary>Takes its tensors out of the scope they were made in.</summary>
    internal virtual void Detach()
    {
    }

    private protected virtual void Release()
    {
    }
}
