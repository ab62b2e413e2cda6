using InteropInterp.Hooks;
using InteropInterp.Plans;
using InteropInterp.Plans.Checking;
using InteropInterp.Plans.Execution;
using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>What a part of a sweep puts in, per layer: activations [rows, ...], or codes [rows, pos, features].</summary>
internal sealed class SweepReplacements : IDisposable
{
    private readonly SweepContext context;
    private readonly CheckedPlan plan;
    private readonly Dictionary<int, Tensor> perLayer = [];

    /// <summary>Of a run that is yet to be done, of a cache, or of nothing.</summary>
    /// <param name="plan">The base.</param>
    public SweepReplacements(SweepContext context, CheckedPlan plan) => (this.context, this.plan) = (context, plan);

    /// <summary>Those of a run that was recorded, as they are.</summary>
    public SweepReplacements(SweepContext context, SweepBase run)
        : this(context, run.Plan)
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        foreach (var layer in Layers) Keep(layer, Coded(run[Site, layer], layer));
    }

    public IReadOnlyDictionary<int, Tensor> PerLayer => perLayer;

    private HookSite Site => context.Sweep.Grid.Site;
    private IReadOnlyList<int> Layers => context.Cells.Indices[0];

    /// <summary>A run with what is to be taken from it.</summary>
    public Plan Capturing(Plan run) => run with { Captures = [.. Layers.Select(layer => new Capture(new HookPoint(Site, layer).Name))] };

    /// <summary>From the run that the source asks for.</summary>
    public void Take(RunResult run)
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        using var finished = run;
        foreach (var layer in Layers)
            Keep(layer, context.Sweep.Source.Made(Coded(finished[new HookPoint(Site, layer).Name], layer), Shape(layer)));
    }

    /// <summary>Without a run: zeros, or what a cache holds.</summary>
    public void Make()
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        foreach (var layer in Layers)
            Keep(layer, context.Sweep.Source.Given(context.Model, plan, new HookPoint(Site, layer)) is { } given
                ? Coded(given, layer)
                : zeros(Shape(layer), context.Model.DataType, context.Model.Device));
    }

    public void Dispose()
    {
        foreach (var tensor in perLayer.Values) tensor.Dispose();
    }

    private void Keep(int layer, Tensor value) => perLayer[layer] = value.alias().DetachFromDisposeScope();

    private Tensor Coded(Tensor activation, int layer) =>
        context.Cells.Bases.TryGetValue(layer, out var basis) ? basis.Codes(activation, context.Cells.Features) : activation;

    private long[] Shape(int layer) => context.Cells.Bases.Count > 0
        ? [plan.RowCount, plan.Length, context.Cells.Features.Count]
        : plan.Catalogue.Shape(new HookPoint(Site, layer), plan.RowCount, plan.Length, plan.Length);
}
