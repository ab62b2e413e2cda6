using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Plans.Checking;
using InteropInterp.Plans.Execution;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>The cells of a sweep over one base run: all of them, or those of one corruption in one direction.</summary>
/// <param name="context">Of the whole sweep.</param>
/// <param name="baseRun">What cells change; borrowed.</param>
/// <param name="replacements">What is put in, per layer: [rows, ...] in the site's own axes, or codes [rows, pos, features].</param>
/// <param name="sharedPrefix">Positions at which source and base have the same tokens in all rows, and see the same.</param>
/// <param name="offset">Where its cells begin in the result.</param>
internal sealed class SweepPart(
    SweepContext context, SweepBase baseRun, IReadOnlyDictionary<int, Tensor> replacements, int sharedPrefix, int offset) : IDisposable
{
    private readonly Dictionary<int, FeatureChange> features = context.Cells.Bases.ToDictionary(b => b.Key, b =>
        new FeatureChange(b.Value, context.Cells.Features, baseRun[context.Sweep.Grid.Site, b.Key], replacements[b.Key]));

    public TransformerModel Model => context.Model;
    public SweepGrid Grid => context.Sweep.Grid;
    public HookSite Site => Grid.Site;
    public SweepCells Cells => context.Cells;
    public ExecutionOptions Options => context.Options;
    public SweepBase Base => baseRun;
    public CheckedPlan Plan => baseRun.Plan;
    public SweepMetric Metric => baseRun.Metric;
    public int SharedPrefix => sharedPrefix;

    public Tensor Replacement(int layer) => replacements[layer];

    /// <summary>Where single features are replaced; else null.</summary>
    public FeatureChange? FeaturesOf(int layer) => features.GetValueOrDefault(layer);

    public void Set(SweepCell cell, int metric, ReadOnlySpan<double> rows) => context.Set(offset + cell.Index, metric, rows);

    public void Set(SweepCell cell, double value) => context.Set(offset + cell.Index, value);

    public void Dispose()
    {
        foreach (var change in features.Values) change.Dispose();
    }
}
