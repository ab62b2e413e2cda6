namespace InteropInterp.Plans.Execution;

/// <summary>How often an intervention fired.</summary>
/// <param name="Index">Where it stands in the plan.</param>
/// <param name="Point">The name or pattern it was declared with.</param>
/// <param name="Op">The op's name.</param>
/// <param name="Count">Applications: once per point, pass and row.</param>
/// <param name="Points">The points at which it fired, in firing order.</param>
/// <param name="IsOptional">Its silence is only reported.</param>
public sealed record FiredReport(int Index, string Point, string Op, long Count, IReadOnlyList<string> Points, bool IsOptional);

/// <summary>Counts firings during a run.</summary>
internal sealed class FiredCounter(IReadOnlyList<Checking.CheckedIntervention> interventions)
{
    private readonly long[] counts = new long[interventions.Count];
    private readonly List<string>[] points = [.. interventions.Select(_ => new List<string>())];

    public void Count(int index, Hooks.HookPoint point, int rows)
    {
        counts[index] += rows;
        if (!points[index].Contains(point.Name)) points[index].Add(point.Name);
    }

    /// <summary>The counts; an intervention that had to fire and did not is an error.</summary>
    public IReadOnlyList<FiredReport> Report()
    {
        var reports = interventions.Select((c, i) => new FiredReport(
            c.Index, c.Intervention.Point, c.Intervention.Op.Name, counts[i], points[i], c.Intervention.MayBeSilent)).ToList();
        foreach (var report in reports)
            if (report.Count == 0 && !report.IsOptional)
                throw InterpException.Precondition("INTERVENTION_DID_NOT_FIRE",
                    $"Intervention {report.Index} ({report.Op} at '{report.Point}') never fired: its positions or steps were not reached.");
        return reports;
    }
}
