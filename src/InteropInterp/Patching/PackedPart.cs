using static TorchSharp.torch;

namespace InteropInterp.Patching;

/// <summary>How a group takes part in a layer's attention.</summary>
/// <param name="Inputs">
/// Positions per row, from the group's start, whose queries, keys and values are new. Those of cells that join here with one
/// changed position are the base run's everywhere else.
/// </param>
/// <param name="Read">The one position whose result is of use; null: all from the group's start on.</param>
internal sealed record PackedPart(PackedGroup Group, int Inputs, int? Read)
{
    /// <summary>Rows of all cells.</summary>
    public long Rows => (long)Group.Cells.Count * Group.Rows;

    /// <summary>Positions per row that come out.</summary>
    public int Outputs => Read is null ? Group.Length : 1;

    /// <summary>Whether queries are projected at all inputs, or only at the position that is read.</summary>
    public bool QueriesEverywhere => Read is null || Inputs < Group.Length;

    /// <summary>Queries per row that are projected.</summary>
    public int Queries => QueriesEverywhere ? Inputs : 1;

    /// <summary>The tokens to project: [cells, rows, inputs, d_model].</summary>
    public Tensor Input => Group.Residual.narrow(2, 0, Inputs);

    /// <summary>The residual stream at what comes out: [cells, rows, outputs, d_model].</summary>
    public Tensor Output => Read is { } read ? Group.Residual.narrow(2, read - Group.Start, 1) : Group.Residual;
}
