namespace InteropInterp.Studies.IndirectObjects;

/// <summary>By which rules an indirect-object circuit is looked for.</summary>
public sealed record IndirectObjectCircuitOptions
{
    /// <summary>Heads whose effect is at least this share of the logit difference are followed further.</summary>
    public double Share { get; init; } = 0.05;

    /// <summary>As many of them at most, the strongest.</summary>
    public int MostFollowed { get; init; } = 4;

    /// <summary>The circuit is the smallest one of the curve that recovers this share of the logit difference.</summary>
    public double Recovered { get; init; } = 0.8;

    /// <summary>Points of the average along the way of the embedding by which edges are ranked (EAP-IG).</summary>
    public int EdgeSteps { get; init; } = 5;

    public ulong Seed { get; init; }

    /// <summary>Refuses what makes no sense.</summary>
    /// <exception cref="InterpException">INVALID_OPTION.</exception>
    public void Check()
    {
        InterpException.Require(Share is > 0 and < 1, "INVALID_OPTION", $"The share is {Share}; it must lie between 0 and 1.");
        InterpException.Require(Recovered is > 0 and <= 1, "INVALID_OPTION", $"The recovered share is {Recovered}; it must be above 0 and at most 1.");
        InterpException.Require(MostFollowed > 0, "INVALID_OPTION", $"{MostFollowed} heads to be followed: at least one is expected.");
        InterpException.Require(EdgeSteps > 0, "INVALID_OPTION", $"{EdgeSteps} steps along the way of the embedding: at least one is expected.");
    }
}
