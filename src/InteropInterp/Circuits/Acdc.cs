namespace InteropInterp.Circuits;

/// <summary>
/// Automatic circuit discovery (Conmy et al. 2023): from the logits back, each edge is left out for good where that worsens the
/// metric by less than a threshold.
/// </summary>
/// <remarks>
/// Edges are tried several at once, on the guess that those before them in the batch go too; what a wrong guess has spoiled is
/// tried again, so the result is that of one after the other.
/// </remarks>
public static class Acdc
{
    /// <summary>Finds a circuit.</summary>
    /// <param name="runner">Where edges are ablated. With KL divergence from the prompts' own logits as its metric it is the
    /// paper's.</param>
    /// <param name="threshold">τ: how much the distance of the metric from the whole model's may grow by leaving an edge out.</param>
    /// <param name="progress">Told (edges decided, edges in all).</param>
    /// <exception cref="InterpException">INVALID_OPTION; CANCELLED between passes.</exception>
    public static AcdcResult Find(CircuitRunner runner, double threshold, Action<int, int>? progress = null,
        CancellationToken cancellation = default)
    {
        using var search = new AcdcExecution(runner, threshold, cancellation);
        while (search.Advance()) progress?.Invoke(search.Progress.Done, search.Progress.Total);
        return search.TakeResult();
    }

    /// <summary>The same, step by step. The runner stays the caller's.</summary>
    /// <exception cref="InterpException">INVALID_OPTION.</exception>
    public static AcdcExecution Start(CircuitRunner runner, double threshold, CancellationToken cancellation = default) =>
        new(runner, threshold, cancellation);

    /// <exception cref="InterpException">INVALID_OPTION.</exception>
    public static void CheckThreshold(double threshold) => InterpException.Require(threshold >= 0 && double.IsFinite(threshold),
        "INVALID_OPTION", $"The threshold is {threshold}; it must be a number not below 0.");
}

/// <summary>What automatic circuit discovery found.</summary>
/// <param name="Circuit">The edges that are left.</param>
/// <param name="Effects">By how much the distance grew as each edge was left out, when it was tried; 0 for edges that nobody read any
/// more.</param>
/// <param name="Distance">Of the circuit's metric from the whole model's.</param>
/// <param name="Runs">Variants of the model that were run.</param>
public sealed record AcdcResult(Circuit Circuit, EdgeScores Effects, double Distance, int Runs);
