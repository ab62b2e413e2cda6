using InteropInterp.Training;

namespace InteropInterp.Lenses;

/// <summary>How a tuned lens is trained: Adam on KL(final || lens).</summary>
public sealed record TunedLensOptions
{
    public int Steps { get; init; } = 250;

    /// <summary>Rows per step, drawn anew from those given until each was used.</summary>
    public int BatchSize { get; init; } = 8;

    /// <summary>The highest learning rate; it falls linearly to zero.</summary>
    public double LearningRate { get; init; } = 1e-3;

    public AdamWOptions Optimiser { get; init; } = new();

    /// <summary>Of the order of rows.</summary>
    public ulong Seed { get; init; }

    /// <exception cref="InterpException">INVALID_OPTION.</exception>
    internal void Check()
    {
        InterpException.Require(Steps > 0, "INVALID_OPTION", $"There are {Steps} steps; at least one is needed.");
        InterpException.Require(BatchSize > 0, "INVALID_OPTION", $"The batch size is {BatchSize}; it must be above 0.");
        InterpException.Require(LearningRate > 0, "INVALID_OPTION", $"The learning rate is {LearningRate}; it must be above 0.");
        Optimiser.Check();
    }
}
