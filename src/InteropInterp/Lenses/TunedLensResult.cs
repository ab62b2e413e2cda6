namespace InteropInterp.Lenses;

/// <summary>A trained lens, and how its training went. It owns the lens.</summary>
/// <param name="Lens">The translators.</param>
/// <param name="Losses">Of each step, before its update, KL(final || lens) in nats per token, averaged over layers.</param>
public sealed record TunedLensResult(TunedLens Lens, IReadOnlyList<float> Losses) : IDisposable
{
    public void Dispose() => Lens.Dispose();
}
