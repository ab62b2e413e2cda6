using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>
/// Cells of a sweep that change nothing before the same position: what runs of them is the rest of each row. Their residual
/// streams lie one behind the other.
/// </summary>
internal sealed class PackedGroup(int start, int rows, int length) : IDisposable
{
    /// <summary>The first position that may differ from the base run.</summary>
    public int Start { get; } = start;

    public int Rows { get; } = rows;

    /// <summary>Positions per row: from <see cref="Start"/> to the end.</summary>
    public int Length { get; } = length - start;

    public List<SweepCell> Cells { get; } = [];

    /// <summary>
    /// [cells, rows, positions, d_model] from <see cref="Start"/> on; behind the last attention only the position that is read,
    /// where there is one such. It belongs to the current scope until <see cref="Keep"/>.
    /// </summary>
    public Tensor Residual { get; set; } = null!;

    // What was kept of the layer before.
    private Tensor? kept;

    /// <summary>Takes the residual stream over, out of any scope, and lets the one of the layer before go.</summary>
    public void Keep()
    {
        Residual = Residual.alias().DetachFromDisposeScope();
        kept?.Dispose();
        kept = Residual;
    }

    public void Dispose() => kept?.Dispose();
}
