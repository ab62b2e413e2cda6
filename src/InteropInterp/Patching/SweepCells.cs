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
        var layers = sweep.Layers.Resolve(plan.EndLayer, "layer");
        InterpException.Require(layers.Length > 0, "SELECTS_NOTHING", "The sweep selects no layer.");
        // Names the reason where the site does not fire in this model.
        foreach (var layer in layers) catalogue.Resolve(new HookPoint(grid.Site, layer).Name);
        var axes = catalogue.Axes(new HookPoint(grid.Site, layers[0]));
        Indices = [.. grid.Axes.Select(axis => axis switch
        {
            SweepAxis.Layer => layers,
            SweepAxis.Position => OfPositions(sweep.PositionsSwept, plan),
            SweepAxis.SourcePosition when axes.Contains(HookAxis.KeyPosition) => OfPositions(sweep.SourcePositions, plan),
            SweepAxis.Neuron when axes.Contains(HookAxis.MlpWidth) => sweep.Neurons.Resolve(
                (int)catalogue.Size(HookAxis.MlpWidth)!.Value, "neuron"),
            SweepAxis.Head when info.HasHeads => sweep.Heads.Resolve(
                (int)catalogue.Size(axes.First(a => a is HookAxis.Head or HookAxis.KeyHead))!.Value, "head"),
            _ => throw InterpException.Invalid("INVALID_GRID", $"'{info.Name}' has no axis {axis}; its axes are {string.Join(", ", axes)}."),
        })];
        for (var i = 0; i < Indices.Count; i++)
            InterpException.Require(Indices[i].Length > 0, "SELECTS_NOTHING", $"The sweep selects no {grid.Axes[i].ToString().ToLowerInvariant()}.");
        if (Indices.Aggregate(1.0, (product, axis) => product * axis.Length) > MostCells)
            throw new InterpException(ErrorCode.ResourceExhausted, "SWEEP_TOO_LARGE",
                $"The sweep has {string.Join(" x ", Indices.Select(axis => axis.Length))} cells; at most {MostCells:N0} are swept at once.");
    }

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
}
