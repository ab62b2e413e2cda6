using InteropInterp.Hooks;
using InteropInterp.Plans;
using InteropInterp.Plans.Interventions;

namespace InteropInterp.Patching.Corruptions;

/// <summary>
/// Gaussian noise on token embeddings (Meng et al. 2022, "Locating and editing factual associations in GPT": causal tracing). It leaves
/// the distribution that the model knows: token replacement is to be preferred (Zhang and Nanda 2024).
/// </summary>
/// <param name="Where">Rows and positions that are corrupted: the subject's tokens.</param>
/// <param name="Deviation">In standard deviations of the embedding's entries.</param>
/// <param name="Seed">One draw; several corruptions of other seeds are several draws.</param>
public sealed record GaussianNoise(string Name, Selector Where, double Deviation = 3, ulong Seed = 0) : Corruption(Name)
{
    private static readonly string Point = new HookPoint(HookSite.Embed, -1).Name;

    public override Plan Apply(Plan clean) => clean with
    {
        Interventions = [.. clean.Interventions, new Intervention(Point, new NoiseOp(Deviation) { Seed = Seed }) { Where = Where }],
    };
}
