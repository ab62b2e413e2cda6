using InteropInterp.Plans;

namespace InteropInterp.Patching;

/// <summary>
/// The two ends of a scale from corrupted to clean behaviour, and what cells are on it: (value - corrupt) / (clean - corrupt). 0 is the
/// corrupted run and 1 the clean one; both may be passed (Heimersheim and Nanda 2024).
/// </summary>
public sealed class SweepEnds
{
    private readonly PatchDirections directions;
    private readonly int cellsPerPart;

    internal SweepEnds(double clean, IReadOnlyList<double> corrupt, PatchDirections directions, int cellsPerPart) =>
        (Clean, Corrupt, this.directions, this.cellsPerPart) = (clean, corrupt, directions, cellsPerPart);

    /// <summary>The metric of the clean run.</summary>
    public double Clean { get; }

    /// <summary>The metric of each corrupted run.</summary>
    public IReadOnlyList<double> Corrupt { get; }

    /// <summary>Of the run that a cell changes: the corrupted one where it denoises, the clean one where it noises.</summary>
    /// <param name="cell">Its place in the result.</param>
    public double BaselineOf(int cell) => IsDenoising(cell) ? Corrupt[CorruptionOf(cell)] : Clean;

    /// <summary>Where on the scale a value stands.</summary>
    /// <exception cref="InterpException">TASK_NOT_SOLVED where both ends are the same.</exception>
    public double Normalized(int cell, double value)
    {
        var low = Corrupt[CorruptionOf(cell)];
        if (Math.Abs(Clean - low) <= 1e-9 * Math.Max(Math.Abs(Clean), Math.Abs(low)))
            throw InterpException.Precondition("TASK_NOT_SOLVED",
                $"The metric is {Clean:G6} in the clean run and {low:G6} in corrupted run {CorruptionOf(cell)}: there is nothing to restore.");
        return (value - low) / (Clean - low);
    }

    private int CorruptionOf(int cell) => cell / cellsPerPart % Corrupt.Count;

    private bool IsDenoising(int cell) => directions switch
    {
        PatchDirections.Denoising => true,
        PatchDirections.Noising => false,
        _ => cell / cellsPerPart < Corrupt.Count,
    };
}
