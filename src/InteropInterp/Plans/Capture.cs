namespace InteropInterp.Plans;

/// <summary>What to keep of a point (or of every point a pattern matches).</summary>
public sealed record Capture(string Point)
{
    /// <summary>Which part; kept in the point's own axis order, every axis kept.</summary>
    public Selector Where { get; init; } = Selector.All;

    /// <summary>Keep what stood there before this plan's interventions.</summary>
    public bool Before { get; init; }

    /// <summary>Keep the objective's gradient there instead of the activation; named with "_grad" behind.</summary>
    public bool Gradient { get; init; }

    /// <summary>Computed from the activation where it is captured, and kept in its place: a dictionary's codes.</summary>
    public ICaptureTransform? Transform { get; init; }

    /// <summary>What the result calls it; null: the point's name. Only for a capture of one point.</summary>
    public string? Name { get; init; }

    /// <summary>What the result calls the capture of a point.</summary>
    public string NameFor(Hooks.HookPoint point) => Name ?? $"{point.Name}{(Before ? "_before" : "")}{(Transform is { } t ? $".{t.Suffix}" : "")}{(Gradient ? "_grad" : "")}";
}

/// <summary>Something computed from an activation, differentiable or not, that is kept instead of it.</summary>
public interface ICaptureTransform
{
    /// <summary>Put behind the point's name with a dot.</summary>
    string Suffix { get; }

    /// <summary>What tells it from others, by content: a stream goes on from a checkpoint with the same only.</summary>
    string Identity() => Suffix;

    /// <summary>Refuses points whose activations it cannot take.</summary>
    /// <param name="shape">The shape of the selected part, in the point's own axis order; -1 where a run decides.</param>
    void Check(Hooks.HookPoint point, IReadOnlyList<long> shape);

    /// <summary>The shape of what it gives; the first two axes stay rows and positions.</summary>
    /// <param name="shape">As in <see cref="Check"/>.</param>
    IReadOnlyList<long> Shape(IReadOnlyList<long> shape);

    /// <summary>What it costs at one position, beside its result.</summary>
    PositionCost Cost => default;

    /// <param name="activation">In the point's own axis order.</param>
    /// <returns>A new tensor in the current scope.</returns>
    TorchSharp.torch.Tensor Apply(TorchSharp.torch.Tensor activation);
}
