using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using static TorchSharp.torch;

namespace InteropInterp.Caches;

/// <summary>
/// The activations of a run by hook point, with the model they come from: what decompositions of the residual stream are
/// computed from. TransformerLens's ActivationCache; its methods are extensions beside this class.
/// </summary>
public sealed class ActivationCache : IDisposable
{
    private readonly Dictionary<string, Tensor> activations;
    private HookCatalogue? catalogue;

    /// <param name="model">Borrowed.</param>
    /// <param name="activations">By hook point name, batch axis first where <paramref name="hasBatch"/>. Shared, not copied.</param>
    /// <param name="spans">Where each row's tokens stand on the position axis; null: they fill it.</param>
    public ActivationCache(
        TransformerModel model, IEnumerable<KeyValuePair<string, Tensor>> activations, bool hasBatch = true,
        IReadOnlyList<RowSpan>? spans = null)
    {
        Model = model;
        HasBatch = hasBatch;
        Spans = spans;
        using var scope = NewDisposeScope();
        this.activations = activations.ToDictionary(a => a.Key, a => a.Value.alias().DetachFromDisposeScope());
    }

    public TransformerModel Model { get; }

    /// <summary>Whether activations start with a batch axis.</summary>
    public bool HasBatch { get; }

    /// <summary>Where each row's tokens stand on the position axis; null: they fill it.</summary>
    public IReadOnlyList<RowSpan>? Spans { get; }

    /// <summary>Hook point names.</summary>
    public IReadOnlyCollection<string> Names => activations.Keys;

    /// <summary>Runs rows and keeps activations of the points that names and patterns mean; none: of all points.</summary>
    /// <exception cref="InterpException">UNKNOWN_HOOK_POINT and whatever else the plan is refused for.</exception>
    public static ActivationCache Run(HookedTransformer model, IReadOnlyList<Row> rows, params IReadOnlyList<string> points)
    {
        var plan = new Plan { Rows = rows, Captures = [.. (points.Count > 0 ? points : ["*"]).Select(p => new Capture(p))] };
        using var run = model.Run(plan);
        return Of(model.Model, plan, run);
    }

    /// <summary>
    /// The captures of a run; they stay the run's too. Where the plan captured only some positions, those are what is counted here.
    /// </summary>
    public static ActivationCache Of(TransformerModel model, Plan plan, RunResult run)
    {
        IReadOnlyList<RowSpan> spans = [.. plan.Rows.Select((row, i) => new RowSpan(run.Offsets[i], row.Length))];
        var isRagged = spans.Distinct().Count() > 1 && plan.Captures.All(c => c.Where.Positions.IsAll && c.Where.Rows.IsAll);
        return new ActivationCache(model, run.Captures, spans: isRagged ? spans : null);
    }

    public bool Contains(string name) => activations.ContainsKey(FullName(name));

    /// <summary>An activation by full name, by TransformerLens 4's name or by shorthand ("q3", "pre5", "embed"). Borrowed.</summary>
    /// <exception cref="InterpException">NOT_CACHED; UNKNOWN_HOOK_POINT with the nearest names.</exception>
    public Tensor this[string name] => Find(FullName(name));

    /// <summary>An activation of a layer (negative: from the end): <c>cache["scale", 1, "ln1"]</c>. Borrowed.</summary>
    /// <exception cref="InterpException">NOT_CACHED; UNKNOWN_HOOK_POINT; LAYER_OUT_OF_RANGE.</exception>
    public Tensor this[string name, int layer, string? layerType = null]
    {
        get
        {
            var count = Model.Config.LayerCount;
            if (layer < -count || layer >= count)
                throw InterpException.OutOfRange("LAYER_OUT_OF_RANGE", $"The layer is {layer}; the model has {count}.");
            return Find(FullName(ActivationNames.Expand(name, layer < 0 ? layer + count : layer, layerType)));
        }
    }

    /// <summary>The same activations without their batch axis.</summary>
    /// <exception cref="InterpException">BATCH_NOT_ONE.</exception>
    public ActivationCache WithoutBatch()
    {
        if (!HasBatch) return new ActivationCache(Model, activations, false);
        using var scope = NewDisposeScope();
        var rows = activations.Count == 0 ? 1 : activations.Values.First().size(0);
        InterpException.Require(rows == 1, "BATCH_NOT_ONE", $"The cache holds {rows} rows; only that of one can lose its batch axis.");
        return new ActivationCache(Model, activations.Select(a => KeyValuePair.Create(a.Key, a.Value.select(0, 0))), false);
    }

    /// <summary>Some of the rows; the batch axis stays.</summary>
    /// <exception cref="InterpException">NO_BATCH; ROW_OUT_OF_RANGE.</exception>
    public ActivationCache SelectRows(Positions rows)
    {
        InterpException.Require(HasBatch, "NO_BATCH", "The cache has no batch axis to select rows of.");
        using var scope = NewDisposeScope();
        KeyValuePair<string, Tensor> Selected(KeyValuePair<string, Tensor> all) =>
            KeyValuePair.Create(all.Key, AxisSlice.Take(all.Value, 0, rows.Resolve((int)all.Value.size(0), "row")));
        var spans = Spans is null ? null : rows.Resolve(Spans.Count, "row").Select(r => Spans[r]).ToList();
        return new ActivationCache(Model, activations.Select(Selected), spans: spans);
    }

    /// <summary>The same activations on another device ("cpu", "cuda:N").</summary>
    public ActivationCache To(string device)
    {
        using var scope = NewDisposeScope();
        var target = Devices.Of(device);
        return new ActivationCache(Model, activations.Select(a => KeyValuePair.Create(a.Key, a.Value.to(target))), HasBatch, Spans);
    }

    /// <summary>Writes the activations as safetensors; Python's ActivationCache.load reads them, and the other way round.</summary>
    public void Save(string path) => ActivationCacheFile.Save(path, activations, HasBatch, Spans);

    /// <exception cref="InterpException">As opening a safetensors file; CACHE_INVALID.</exception>
    public static ActivationCache Load(string path, TransformerModel model) => ActivationCacheFile.Load(path, model);

    /// <summary>Of [..., batch, pos, ...] the positions meant, of each row its own; every axis is kept.</summary>
    internal Tensor AtPositions(Tensor x, Positions positions)
    {
        if (positions.IsAll) return x;
        var axis = HasBatch ? 1 : 0;
        return Spans is null ? AxisSlice.Take(x, axis, positions.Resolve((int)x.size(axis), "position")) : AxisSlice.PerRow(x, Spans, positions);
    }

    private Tensor Find(string name)
    {
        if (activations.TryGetValue(name, out var found)) return found;
        if (Points.Find(name) is null) throw InterpException.Unknown("UNKNOWN_HOOK_POINT", "hook point", name, Points.Names);
        throw InterpException.Precondition("NOT_CACHED", $"'{name}' is not in the cache: capture it in the run that fills it.");
    }

    private string FullName(string name)
    {
        if (activations.ContainsKey(name)) return name;
        var expanded = ActivationNames.Expand(name);
        return Points.Find(name)?.Name ?? Points.Find(expanded)?.Name ?? expanded;
    }

    private HookCatalogue Points => catalogue ??= new HookCatalogue(Model.Config, ModelFlags.None);

    public void Dispose()
    {
        foreach (var tensor in activations.Values) tensor.Dispose();
    }
}
