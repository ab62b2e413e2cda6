using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>
/// Cells of a sweep that change nothing before the same position: what runs of them is the rest of each row. Their residual
/// streams lie one behind the other.
/// </summary>
internal sealed class PackedGroup(int start, int rows, int length)
{
    /// <summary>The first position that may differ from the base run.</summary>
    public int Start { get; } = start;

    public int Rows { get; } = rows;

    /// <summary>Positions per row: from <see cref="Start"/> to the end.</summary>
    public int Length { get; } = length - start;

    public List<SweepCell> Cells { get; } = [];

    /// <summary>[cells, rows, positions, d_model]; null before the first cell has come.</summary>
    public Tensor? Residual { get; set; }

    /// <summary>Tokens of all cells.</summary>
    public long Tokens => (long)Cells.Count * Rows * Length;
}
