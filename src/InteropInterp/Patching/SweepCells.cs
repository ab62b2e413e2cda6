using InteropInterp.Hooks;
using InteropInterp.Plans.Checking;

namespace InteropInterp.Patching;

/// <summary>One cell: the part of the site that is replaced. -1: all of that axis.</summary>
/// <param name="Index">Its place in the result.</param>
/// <param name="Last">Of the last axis: the position attended to, or the neuron.</param>
internal readonly record struct SweepCell(int Index, int Layer, int Position, int Head, int Last);

/// <summary>The cells of a sweep, checked against the model and the rows.</summary>
internal sealed class SweepCells
{
    private const int MostCells = 100_000_000;

    private readonly SweepGrid grid;

    public SweepCells(Sweep sweep, CheckedPlan plan)
    {
        grid = sweep.Grid;
        var catalogue = plan.Catalogue;
        var info = HookSiteInfo.Of(grid.Site);
        InterpException.Require(info.IsPerLayer && grid.Axes.Count > 0 && grid.Axes[0] == SweepAxis.Layer, "INVALID_GRID",
            $"A sweep is over the layers first, of a site that blocks have; '{info.Name}' with axes {string.Join(", ", grid.Axes)} is not.");
        InterpException.Require(grid.Axes.Distinct().Count() == grid.Axes.Count, "INVALID_GRID", $"The grid has an axis twice: {string.Join(", ", grid.Axes)}.");
        Bases = BasesOf(catalogue);
        var layers = sweep.Layers.IsAll && Bases.Count > 0 ? [.. Bases.Keys.Order()] : sweep.Layers.Resolve(plan.EndLayer, "layer");
        RequireSome(layers, sweep.Layers, "layer", plan.EndLayer);
        // Names the reason where the site does not fire in this model.
        foreach (var layer in layers) catalogue.Resolve(new HookPoint(grid.Site, layer).Name);
        var axes = catalogue.Axes(new HookPoint(grid.Site, layers[0]));
        if (Bases.Count > 0) CheckBases(layers, plan);
        Indices = [.. grid.Axes.Select(axis => axis switch
        {
            SweepAxis.Layer => layers,
            SweepAxis.Position => OfPositions(sweep.PositionsSwept, plan),
            SweepAxis.SourcePosition when axes.Contains(HookAxis.KeyPosition) => OfPositions(sweep.SourcePositions, plan),
            SweepAxis.Neuron when axes.Contains(HookAxis.MlpWidth) => sweep.Neurons.Resolve(
                (int)catalogue.Size(HookAxis.MlpWidth)!.Value, "neuron"),
            SweepAxis.Feature when Bases.Count > 0 => sweep.Features.Resolve(Bases.Values.First().Count, "feature"),
            SweepAxis.Head when info.HasHeads => sweep.Heads.Resolve(
                (int)catalogue.Size(axes.First(a => a is HookAxis.Head or HookAxis.KeyHead))!.Value, "head"),
            _ => throw InterpException.Invalid("INVALID_GRID", $"'{info.Name}' has no axis {axis}; its axes are {string.Join(", ", axes)}."),
        })];
        for (var i = 1; i < Indices.Count; i++)
            RequireSome(Indices[i], Chosen(sweep, grid.Axes[i]), Name(grid.Axes[i]), Extent(grid.Axes[i], axes, plan));
        Features = grid.Axes.ToList().IndexOf(SweepAxis.Feature) is var at && at >= 0 ? Indices[at] : [];
        Bases = Bases.Where(b => layers.Contains(b.Key)).ToDictionary(b => b.Key, b => b.Value);
        if (Indices.Aggregate(1.0, (product, axis) => product * axis.Length) > MostCells)
            throw new InterpException(ErrorCode.ResourceExhausted, "SWEEP_TOO_LARGE",
                $"The sweep has {string.Join(" x ", Indices.Select(axis => axis.Length))} cells; at most {MostCells:N0} are swept at once.");
    }

    /// <summary>The dictionary of each layer, where features are swept.</summary>
    public IReadOnlyDictionary<int, FeatureBasis> Bases { get; }

    /// <summary>The features that are swept.</summary>
    public IReadOnlyList<int> Features { get; }

    /// <summary>Along each axis, what is swept.</summary>
    public IReadOnlyList<int[]> Indices { get; }

    public int Count => Indices.Aggregate(1, (product, axis) => product * axis.Length);

    /// <summary>The cells of a layer.</summary>
    public IEnumerable<SweepCell> OfLayer(int layerIndex)
    {
        var perLayer = Count / Indices[0].Length;
        for (var i = 0; i < perLayer; i++)
        {
            var cell = new SweepCell(layerIndex * perLayer + i, Indices[0][layerIndex], -1, -1, -1);
            for (int axis = Indices.Count - 1, rest = i; axis > 0; axis--)
            {
                var value = Indices[axis][rest % Indices[axis].Length];
                rest /= Indices[axis].Length;
                cell = grid.Axes[axis] switch
                {
                    SweepAxis.Position => cell with { Position = value },
                    SweepAxis.Head => cell with { Head = value },
                    _ => cell with { Last = value },
                };
            }
            yield return cell;
        }
    }

    private static int[] OfPositions(Plans.Positions positions, CheckedPlan plan)
    {
        InterpException.Require(plan.Plan.Rows.All(r => r.Length == plan.Length), "ROWS_OF_DIFFERENT_LENGTH",
            $"A sweep over positions needs rows of equal length; these have {string.Join(", ", plan.Plan.Rows.Select(r => r.Length).Distinct().Order())} tokens.");
        return positions.Resolve(plan.Length, "position");
    }

    private Dictionary<int, FeatureBasis> BasesOf(HookCatalogue catalogue)
    {
        InterpException.Require(grid.Axes.Contains(SweepAxis.Feature) == grid.Bases.Count > 0, "INVALID_GRID", grid.Bases.Count > 0
            ? $"The grid has dictionaries, but no axis Feature; its axes are {string.Join(", ", grid.Axes)}."
            : "The grid has an axis Feature, but no dictionaries whose features they are.");
        var bases = new Dictionary<int, FeatureBasis>();
        foreach (var basis in grid.Bases)
        {
            var point = catalogue.Resolve(basis.Point);
            InterpException.Require(point.Site == grid.Site && bases.TryAdd(point.Layer, basis), "FEATURE_BASIS",
                $"The dictionary of '{point.Name}' stands beside {(bases.ContainsKey(point.Layer) ? "another of that layer" : $"a grid of '{HookSiteInfo.Of(grid.Site).Name}'")}; one per layer at the grid's site is expected.");
            InterpException.Require(basis.Count == grid.Bases[0].Count, "FEATURE_BASIS",
                $"The dictionary of '{point.Name}' has {basis.Count} features, the first one {grid.Bases[0].Count}; an axis needs as many in each.");
        }
        return bases;
    }

    private void CheckBases(int[] layers, CheckedPlan plan)
    {
        InterpException.Require(grid.Axes.All(a => a is SweepAxis.Layer or SweepAxis.Position or SweepAxis.Feature), "INVALID_GRID",
            $"Features are swept whole or by position; the axes are {string.Join(", ", grid.Axes)}.");
        foreach (var layer in layers)
        {
            InterpException.Require(Bases.ContainsKey(layer), "FEATURE_BASIS",
                $"The sweep has layer {layer}, for which there is no dictionary; there are those of layers {string.Join(", ", Bases.Keys.Order())}.");
            var point = new HookPoint(grid.Site, layer);
            Bases[layer].Check(point, plan.Catalogue.Shape(point, plan.RowCount, plan.Length, plan.Length));
        }
    }

    private static void RequireSome(int[] indices, Plans.Positions chosen, string what, long extent) =>
        InterpException.Require(indices.Length > 0, "SELECTS_NOTHING", $"The sweep selects no {what}: {chosen} of {extent}.");

    private static Plans.Positions Chosen(Sweep sweep, SweepAxis axis) => axis switch
    {
        SweepAxis.Position => sweep.PositionsSwept,
        SweepAxis.SourcePosition => sweep.SourcePositions,
        SweepAxis.Head => sweep.Heads,
        SweepAxis.Neuron => sweep.Neurons,
        _ => sweep.Features,
    };

    private static string Name(SweepAxis axis) => axis == SweepAxis.SourcePosition ? "source position" : axis.ToString().ToLowerInvariant();

    private long Extent(SweepAxis axis, IReadOnlyList<HookAxis> axes, CheckedPlan plan) => axis switch
    {
        SweepAxis.Head => plan.Catalogue.Size(axes.First(a => a is HookAxis.Head or HookAxis.KeyHead))!.Value,
        SweepAxis.Neuron => plan.Catalogue.Size(HookAxis.MlpWidth)!.Value,
        SweepAxis.Feature => grid.Bases[0].Count,
        _ => plan.Length,
    };
}
