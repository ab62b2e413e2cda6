using InteropInterp.Plans;
using InteropInterp.Streams.Statistics;

namespace InteropInterp.Streams;

/// <summary>What to gather at a hook point (or at every point a pattern matches): Garcon's probe, whose sums stay in the engine.</summary>
/// <param name="Point">A name, or a pattern with <c>*</c>. Not scores and patterns, whose width changes with the row.</param>
/// <param name="Statistics">One of each kind at most.</param>
public sealed record StreamProbe(string Point, params IReadOnlyList<Statistic> Statistics)
{
    /// <summary>Which heads and entries of the last axis; positions and rows are the plan's to choose.</summary>
    public Selector Where { get; init; } = Selector.All;

    /// <summary>Computed from the activation and gathered in its place: a dictionary's codes.</summary>
    public ICaptureTransform? Transform { get; init; }

    /// <summary>What the result calls it; null: as a capture is called. Only for one point.</summary>
    public string? Name { get; init; }

    internal Capture Capture => new(Point) { Where = Where, Transform = Transform, Name = Name };
}
