
namespace InteropInterp.Plans.Interventions;

/// <summary>An edit at a point, or at every point a pattern (<c>blocks.*.hook_mlp_out</c>) matches.</summary>
public sealed record Intervention(string Point, InterventionOp Op)
{
    public Selector Where { get; init; } = Selector.All;

    /// <summary>Edits the gradient that flows back through the point, instead of the activation.</summary>
    public bool Gradient { get; init; }

    /// <summary>
    /// Not to have fired is no error, only reported: for name filters and permanent hooks, which mean "wherever it applies".
    /// </summary>
    public bool IsOptional { get; init; }

    /// <summary>Whether its silence is only reported.</summary>
    internal bool MayBeSilent => IsOptional || Hooks.HookPattern.IsPattern(Point);
}
