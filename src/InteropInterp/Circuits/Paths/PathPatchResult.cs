namespace InteropInterp.Circuits.Paths;

/// <summary>The metric of each set of senders with each set of receivers.</summary>
public sealed class PathPatchResult
{
    /// <summary>[senders, receivers]: means over rows. A pair that no path connects has the base run's.</summary>
    public required double[,] Values { get; init; }

    /// <summary>[senders, receivers, rows].</summary>
    public required double[,,] PerRow { get; init; }

    /// <summary>[senders, receivers]: whether some sender of the set reaches some receiver of the set.</summary>
    public required bool[,] HasPath { get; init; }

    /// <summary>The metric of the base run, mean over rows.</summary>
    public required double Baseline { get; init; }
}
