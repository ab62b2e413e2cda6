using InteropInterp.Hooks;

namespace InteropInterp.Plans.Checking;

/// <summary>Checks captures and names their results.</summary>
internal static class CaptureChecker
{
    public static IEnumerable<CheckedCapture> Check(PlanScope scope, Capture capture)
    {
        var what = $"The capture of '{capture.Point}'";
        var points = scope.Points(capture.Point, what, mayBeSilent: HookPattern.IsPattern(capture.Point));
        InterpException.Require(capture.Name is null || points.Count <= 1, "CAPTURE_NAME_TWICE",
            $"{what} means {points.Count} points; one name cannot hold them.");
        InterpException.Require(!(capture.Gradient && (capture.Before || capture.Transform is not null)), "CAPTURE_GRADIENT",
            $"{what}: a gradient is that of what stands there after interventions, as it is.");
        foreach (var point in points)
        {
            scope.CheckSelector(point, capture.Where, what);
            InterpException.Require(!capture.Gradient || point.Site != HookSite.Tokens, "CAPTURE_GRADIENT", $"{what}: tokens have no gradient.");
            if (scope.Plan.Generation is not null && point.Info.Axes.Contains(HookAxis.KeyPosition))
                throw InterpException.Invalid("CAPTURE_IN_GENERATION", $"{what}: scores and patterns grow with every step; capture them in a run over the finished text.");
            CheckEqualCounts(scope, capture.Where, what);
            capture.Transform?.Check(point, scope.Shape(point, capture.Where));
            yield return new CheckedCapture(capture.NameFor(point), point, capture, AsRegion: false);
        }
    }

    // What is kept is one tensor: a slice must give each row as many positions.
    private static void CheckEqualCounts(PlanScope scope, Selector where, string what)
    {
        if (where.Positions.IsAll || where.Positions.Indices is not null) return;
        var counts = where.Rows.Resolve(scope.RowCount, "row").Select(r => where.Positions.Within(scope.RowLength(r)).Length).Distinct().ToList();
        InterpException.Require(counts.Count == 1 || scope.Plan.Generation is not null, "RAGGED_SELECTION",
            $"{what}: the slice {where.Positions} gives rows of different length {string.Join(" or ", counts)} positions; select by index.");
    }
}
