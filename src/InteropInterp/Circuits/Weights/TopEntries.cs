using InteropInterp.Native.Devices;
using InteropInterp.Tensors;
using static TorchSharp.torch;

namespace InteropInterp.Circuits.Weights;

/// <summary>An entry of a matrix.</summary>
public readonly record struct MatrixEntry(int Row, int Column, double Value);

/// <summary>The largest entries of a product of vocabulary by vocabulary, made a block of rows at a time.</summary>
public static class TopEntries
{
    /// <summary>Numbers of a block that is looked at at once.</summary>
    private const long BlockSize = 16L << 20;

    /// <param name="matrix">[rows, columns].</param>
    /// <returns>The largest of all, largest first.</returns>
    /// <exception cref="InterpException">NOT_A_MATRIX, INVALID_OPTION; CANCELLED between two blocks.</exception>
    public static IReadOnlyList<MatrixEntry> Of(FactoredMatrix matrix, int count, CancellationToken cancellation = default)
    {
        InterpException.Require(matrix.Dimensions == 2, "NOT_A_MATRIX", $"The matrix is {matrix.Shape.Shown()}; take that of one head.");
        InterpException.Require(count > 0, "INVALID_OPTION", $"{count} entries are asked for; at least one is needed.");
        var found = new List<MatrixEntry>();
        var step = (int)Math.Clamp(BlockSize / matrix.Columns, 1, matrix.Rows);
        for (long start = 0; start < matrix.Rows; start += step)
        {
            Interrupts.Check(cancellation);
            using var scope = NewDisposeScope();
            var rows = matrix.A.narrow(0, start, Math.Min(step, matrix.Rows - start));
            var block = new FactoredMatrix(rows, matrix.B).AB.flatten();
            var (values, places) = block.topk((int)Math.Min(count, block.size(0)), 0, true, true);
            var at = places.cpu().data<long>().ToArray();
            var entries = values.to(ScalarType.Float64).cpu().data<double>().ToArray().Zip(at)
                .Select(x => new MatrixEntry((int)(start + x.Second / matrix.Columns), (int)(x.Second % matrix.Columns), x.First));
            found = [.. found.Concat(entries).OrderByDescending(e => e.Value).Take(count)];
        }
        return found;
    }

    /// <summary>Of each row its largest entries, largest first: columns and values [rows, k], in the current scope.</summary>
    internal static (Tensor Columns, Tensor Values) OfRows(FactoredMatrix matrix, int count, CancellationToken cancellation)
    {
        var (columns, values) = (new List<Tensor>(), new List<Tensor>());
        var step = (int)Math.Clamp(BlockSize / matrix.Columns, 1, Math.Max(1, matrix.Rows));
        for (long start = 0; start < matrix.Rows; start += step)
        {
            Interrupts.Check(cancellation);
            using var scope = NewDisposeScope();
            var block = new FactoredMatrix(matrix.A.narrow(0, start, Math.Min(step, matrix.Rows - start)), matrix.B).AB;
            var (best, places) = block.topk((int)Math.Min(count, matrix.Columns), -1, true, true);
            columns.Add(places.MoveToOuterDisposeScope());
            values.Add(best.MoveToOuterDisposeScope());
        }
        return (cat(columns, 0), cat(values, 0));
    }
}
