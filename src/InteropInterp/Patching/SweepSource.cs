using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Plans;
using InteropInterp.Plans.Checking;
using InteropInterp.Randomness;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>What replaced parts are replaced with.</summary>
public abstract record SweepSource
{
    /// <summary>A run whose activations are asked for; null: none.</summary>
    internal virtual Plan? Asks => null;

    /// <summary>The same with its runs changed: those in another view of the model, say.</summary>
    public virtual SweepSource Map(Func<Plan, Plan> change) => this;

    /// <summary>What is put in, made of the run's activation, or of its features' codes.</summary>
    /// <param name="activation">[rows of the run, ...].</param>
    /// <param name="shape">Of the sweep's own.</param>
    internal virtual Tensor Made(Tensor activation, long[] shape) => activation;

    /// <summary>What is put in at a point without a run; null: zeros.</summary>
    /// <param name="plan">The run that is changed.</param>
    internal virtual Tensor? Given(TransformerModel model, CheckedPlan plan, HookPoint point) => null;
}

/// <summary>The activations of another run: clean prompts into corrupted ones, or the other way round.</summary>
/// <param name="Run">As many rows as the sweep's, each as long.</param>
public sealed record SweepFromRun(Plan Run) : SweepSource
{
    internal override Plan Asks => Run;

    public override SweepSource Map(Func<Plan, Plan> change) => new SweepFromRun(change(Run));
}

/// <summary>Activations that are there already: a cache.</summary>
/// <param name="Activations">By hook point name, each of the swept site's shape, for every layer that is swept.</param>
public sealed record SweepFromCache(IReadOnlyDictionary<string, Tensor> Activations) : SweepSource
{
    internal override Tensor Given(TransformerModel model, CheckedPlan plan, HookPoint point) => SweepChecker.FromCache(this, model, plan, point);
}

/// <summary>Zeros.</summary>
public sealed record SweepZero : SweepSource;

/// <summary>The mean over the rows of a reference run, position by position (mean ablation; Wang et al. 2022).</summary>
/// <param name="Reference">Any number of rows, each as long as the sweep's; or of one length if positions are averaged too.</param>
/// <param name="OverPositions">Also over positions, so that every position gets the same. Not at scores and patterns.</param>
public sealed record SweepMean(Plan Reference, bool OverPositions = false) : SweepSource
{
    internal override Plan Asks => Reference;

    public override SweepSource Map(Func<Plan, Plan> change) => this with { Reference = change(Reference) };

    internal override Tensor Made(Tensor activation, long[] shape) =>
        activation.mean(OverPositions ? [0, 1] : [0], keepdim: true).expand(shape).contiguous();
}

/// <summary>For each row the activations of a random row of a reference run (resample ablation; Chan et al. 2022).</summary>
/// <param name="Reference">Any number of rows, each as long as the sweep's.</param>
/// <param name="Seed">The same seed draws the same rows.</param>
public sealed record SweepResample(Plan Reference, ulong Seed = 0) : SweepSource
{
    internal override Plan Asks => Reference;

    public override SweepSource Map(Func<Plan, Plan> change) => this with { Reference = change(Reference) };

    internal override Tensor Made(Tensor activation, long[] shape)
    {
        var draws = new CounterDraws(Seed, 0);
        var rows = new long[shape[0]];
        for (var i = 0; i < rows.Length; i++) rows[i] = draws.Below((int)activation.size(0));
        return activation.index_select(0, tensor(rows, device: activation.device));
    }
}
