using static TorchSharp.torch;

namespace InteropInterp.Plans.Interventions;

/// <summary>
/// The activation of another run (activation patching). Row i takes from the source's row i, or from its only row.
/// </summary>
/// <param name="Source">A name in the plan's sources.</param>
public sealed record PatchFromOp(string Source) : InterventionOp
{
    /// <summary>The point to take from; null: the same.</summary>
    public string? Point { get; init; }

    /// <summary>Positions in the source; null: those of the target. As many as the target's.</summary>
    public Positions? Positions { get; init; }

    /// <summary>Heads in the source; null: those of the target.</summary>
    public Positions? Heads { get; init; }

    public override string Name => "patch-from";

    public override SourceRead Reads => new(Source, Point, Positions, Heads);

    public override void Check(OpTarget target)
    {
        var rows = target.Plan.Sources[Source].Rows.Count;
        InterpException.Require(rows == target.Plan.Rows.Count || rows == 1, "SOURCE_ROWS",
            $"patch-from at '{target.Point.Name}': source '{Source}' has {rows} rows, the plan {target.Plan.Rows.Count}; as many, or one, is expected.");
    }

    public override Tensor Apply(Tensor region, OpInput input)
    {
        var value = input.FromSource();
        var fits = value.dim() == region.dim();
        for (var i = 1; fits && i < region.dim(); i++) fits = value.size(i) == region.size(i) || value.size(i) == 1;
        InterpException.Require(fits, "SOURCE_SHAPE",
            $"patch-from at '{input.Point.Name}': source '{Source}' gives [{string.Join(", ", value.shape)}], the target is [{string.Join(", ", region.shape)}]. " +
            "Prompts of different length need positions on both sides.");
        return value.expand_as(region).clone();
    }
}
