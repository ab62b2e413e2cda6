using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Plans.Interventions;

namespace InteropInterp.Plans.Checking;

/// <summary>What is known of a plan while it is checked: which points fire in it, and what a selector means at each.</summary>
internal sealed record PlanScope(HookCatalogue Catalogue, Plan Plan, TransformerConfig Config, int First, int End, bool Stops)
{
    private int NewTokens => Plan.Generation?.MaxNewTokens ?? 0;

    /// <summary>Why a point that exists in the model does not fire in this plan; null where it does.</summary>
    public string? WhySilent(HookPoint point)
    {
        if (point.Info.IsPerLayer)
        {
            if (point.Layer < First) return $"the run starts at layer {First}";
            return point.Layer >= End ? $"the run stops at layer {End}" : null;
        }
        if (point.Site < HookSite.ResidPre) return Plan.Residual is null ? null : $"the run starts at layer {First}, from a residual stream";
        return Stops ? $"the run stops at layer {End}" : null;
    }

    /// <summary>The points of a name or pattern that fire in this plan. A name that cannot fire is refused.</summary>
    public IReadOnlyList<HookPoint> Points(string name, string what, bool mayBeSilent)
    {
        if (!HookPattern.IsPattern(name))
        {
            var point = Catalogue.Resolve(name);
            if (WhySilent(point) is not { } reason) return [point];
            return mayBeSilent ? [] : throw InterpException.Precondition("HOOK_POINT_SILENT", $"{what} cannot fire: {reason}.");
        }
        var points = Catalogue.Match(name).Where(p => WhySilent(p) is null).ToList();
        return points;
    }

    /// <summary>Refuses selectors that reach outside the point or select nothing.</summary>
    public void CheckSelector(HookPoint point, Selector where, string what)
    {
        var axes = Catalogue.Axes(point);
        try
        {
            Nonempty(where.Rows.Resolve(RowCount, "row"), "rows");
            var heads = axes.FirstOrDefault(a => a is HookAxis.Head or HookAxis.KeyHead, HookAxis.Batch);
            if (heads != HookAxis.Batch) Nonempty(where.Heads.Resolve((int)Catalogue.Size(heads)!.Value, "head"), "heads");
            else if (!where.Heads.IsAll)
                throw InterpException.Invalid("NO_HEAD_AXIS", $"'{point.Name}' has no heads; its axes are {string.Join(", ", axes)}.");
            foreach (var row in where.Rows.Resolve(RowCount, "row"))
            {
                CheckPositions(where.Positions, RowLength(row));
                if (axes[^1] == HookAxis.KeyPosition) CheckPositions(where.Last, RowLength(row));
            }
            if (axes[^1] != HookAxis.KeyPosition && !where.Last.IsAll)
                Nonempty(where.Last.Resolve((int)Catalogue.Size(axes[^1])!.Value, "index"), "entries of the last axis");
            InterpException.Require(where.FromStep >= 0 && (where.ToStep is null || where.ToStep > where.FromStep), "INVALID_STEPS",
                $"Steps {where.FromStep} to {where.ToStep} hold nothing.");
            if (where.FromStep > NewTokens - 1 && where.FromStep > 0)
                throw InterpException.OutOfRange("STEP_OUT_OF_RANGE",
                    $"From step {where.FromStep}: the run has steps 0 to {Math.Max(0, NewTokens - 1)}.");
        }
        catch (InterpException e)
        {
            throw new InterpException(e.Code, e.Reason, $"{what}: {e.Message}", innerException: e);
        }
    }

    /// <summary>The shape of a selected part in the point's own axis order; -1 for rows and positions, which a run decides.</summary>
    public IReadOnlyList<long> Shape(HookPoint point, Selector where) => [.. Catalogue.Axes(point).Select(axis => axis switch
    {
        HookAxis.Batch or HookAxis.Position or HookAxis.KeyPosition => -1,
        HookAxis.Head or HookAxis.KeyHead => where.Heads.Resolve((int)Catalogue.Size(axis)!.Value, "head").Length,
        _ => where.Last.Resolve((int)Catalogue.Size(axis)!.Value, "index").Length,
    })];

    /// <summary>What an op is told of the region it will edit.</summary>
    public OpTarget Target(HookPoint point, Selector where)
    {
        var axes = Catalogue.Axes(point);
        var rows = where.Rows.Resolve(RowCount, "row");
        var counts = rows.Select(r => where.Positions.Within(RowLength(r)).Length).Distinct().ToList();
        var shape = new List<long> { rows.Length, counts.Count == 1 && NewTokens == 0 ? counts[0] : -1 };
        var names = new List<string> { "rows", "positions" };
        var heads = axes.FirstOrDefault(a => a is HookAxis.Head or HookAxis.KeyHead, HookAxis.Batch);
        if (heads != HookAxis.Batch)
        {
            shape.Add(where.Heads.Resolve((int)Catalogue.Size(heads)!.Value, "head").Length);
            names.Add("heads");
        }
        if (axes[^1] != HookAxis.Position)
        {
            shape.Add(axes[^1] != HookAxis.KeyPosition
                ? where.Last.Resolve((int)Catalogue.Size(axes[^1])!.Value, "index").Length
                : counts.Count == 1 && NewTokens == 0 ? where.Last.Within(RowLength(rows[0])).Length : -1);
            names.Add(axes[^1] switch
            {
                HookAxis.KeyPosition => "key positions",
                HookAxis.ModelWidth => "d_model",
                HookAxis.HeadWidth => "d_head",
                HookAxis.MlpWidth => "d_mlp",
                HookAxis.Vocabulary => "d_vocab_out",
                _ => "1",
            });
        }
        return new OpTarget(point, shape, names, Plan, Config);
    }

    public int RowCount => Plan.Residual is { } residual ? (int)residual.size(0) : Plan.Rows.Count;

    public int RowLength(int row) => Plan.Residual is { } residual ? (int)residual.size(1) : Plan.Rows[row].Length;

    // Positions beyond the prompt come with generation.
    private void CheckPositions(Positions positions, int length)
    {
        if (positions.Indices is { } indices)
        {
            foreach (var index in indices)
                if (index >= length + NewTokens || index < -length)
                    throw InterpException.OutOfRange("POSITION_OUT_OF_RANGE",
                        $"The position {index} is out of range: the row has {length} tokens{(NewTokens > 0 ? $" and {NewTokens} to come" : "")}.");
            Nonempty(indices, "positions");
        }
        else if (NewTokens == 0)
        {
            Nonempty(positions.Resolve(length, "position"), "positions");
        }
    }

    private static void Nonempty(IReadOnlyCollection<int> indices, string what) =>
        InterpException.Require(indices.Count > 0, "SELECTS_NOTHING", $"The selector selects no {what}.");
}
