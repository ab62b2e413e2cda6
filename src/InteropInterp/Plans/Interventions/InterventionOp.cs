using InteropInterp.Hooks;
using static TorchSharp.torch;

namespace InteropInterp.Plans.Interventions;

/// <summary>
/// What an intervention does with the region it selects. An op is data; its <see cref="Apply"/> returns a new region and never
/// writes into the one it is given. Other projects add their own.
/// </summary>
public abstract record InterventionOp
{
    /// <summary>As messages and reports call it: "zero", "patch-from".</summary>
    public abstract string Name { get; }

    /// <summary>The op in terms of the model that it is about to run in, where it is declared relative to one.</summary>
    public virtual InterventionOp Bound(Models.TransformerModel model) => this;

    /// <summary>Refuses what does not fit, before anything runs.</summary>
    public virtual void Check(OpTarget target)
    {
    }

    /// <summary>The named source of the plan that it takes values from, and what it captures there; null for none.</summary>
    public virtual SourceRead? Reads => null;

    /// <summary>What applying it costs at one position, beside the region: for reports, and for how a plan is cut into batches.</summary>
    public virtual PositionCost Cost => default;

    /// <summary>The new region.</summary>
    /// <param name="region">[rows, positions, heads (where the point has them), last axis].</param>
    public abstract Tensor Apply(Tensor region, OpInput input);

    /// <summary>Refuses a value that does not broadcast to the region.</summary>
    private protected void CheckBroadcast(Tensor value, OpTarget target)
    {
        var shape = value.shape;
        var region = target.Shape;
        var fits = shape.Length <= region.Count;
        for (var i = 1; fits && i <= shape.Length; i++)
            fits = shape[^i] == 1 || region[^i] == -1 || shape[^i] == region[^i];
        InterpException.Require(fits, "VALUE_SHAPE",
            $"{Name} at '{target.Point.Name}': the value is [{string.Join(", ", shape)}]; it must broadcast to " +
            $"[{string.Join(", ", region.Select((s, i) => s == -1 ? target.AxisNames[i] : s.ToString()))}] ({string.Join(", ", target.AxisNames)}).");
    }
}

/// <summary>Where an op is about to be applied.</summary>
/// <param name="Shape">The region's shape; -1 where rows of different length give different numbers of positions.</param>
/// <param name="AxisNames">"rows", "positions", "heads" and the last axis's.</param>
public sealed record OpTarget(HookPoint Point, IReadOnlyList<long> Shape, IReadOnlyList<string> AxisNames, Plan Plan, Models.TransformerConfig Config);

/// <summary>What a source must capture for an op. What is null is as at the target; rows are all of the source's.</summary>
public sealed record SourceRead(string Source, string? Point = null, Positions? Positions = null, Positions? Heads = null);

/// <summary>What an op may look at while it runs.</summary>
/// <param name="Point">The point.</param>
/// <param name="Rows">Which rows of the plan the region holds.</param>
/// <param name="Selected">Where each of them stands among the rows that the intervention selects.</param>
/// <param name="Step">The decode step; 0 is the prompt.</param>
/// <param name="Seed">The plan's.</param>
/// <param name="SourceRegion">What <see cref="InterventionOp.Reads"/> asked for, all rows of the source, in region axes.</param>
public sealed record OpInput(
    HookPoint Point, IReadOnlyList<int> Rows, IReadOnlyList<int> Selected, int Step, ulong Seed, Tensor? SourceRegion)
{
    /// <summary>The source's region for this region's rows: row by row, or the source's only row for all.</summary>
    public Tensor FromSource() => Pick(SourceRegion!, Rows);

    /// <summary>A value that broadcasts to the region; where it has the region's rank, its first axis is the selected rows.</summary>
    public Tensor Value(Tensor value, Tensor region)
    {
        if (value.dtype != region.dtype || !value.device.Equals(region.device)) value = value.to(region.dtype, region.device);
        return value.dim() == region.dim() ? Pick(value, Selected) : value;
    }

    private static Tensor Pick(Tensor perRow, IReadOnlyList<int> rows)
    {
        var count = perRow.size(0);
        if (count == 1 || (count == rows.Count && rows.Select((row, i) => row == i).All(same => same))) return perRow;
        return perRow.index_select(0, tensor(rows.Select(r => (long)r).ToArray(), device: perRow.device));
    }
}
