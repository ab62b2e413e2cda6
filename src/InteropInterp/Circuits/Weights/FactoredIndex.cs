using InteropInterp.Caches;
using InteropInterp.Plans;
using InteropInterp.Tensors;

namespace InteropInterp.Circuits.Weights;

/// <summary>Parts of a product by parts of its factors: leading axes of both, rows of A, columns of B.</summary>
internal static class FactoredIndex
{
    public static FactoredMatrix At(FactoredMatrix matrix, int[] indices)
    {
        CheckCount(matrix, indices.Length);
        var (a, b, leading) = (matrix.A, matrix.B, matrix.Dimensions - 2);
        for (var i = 0; i < indices.Length; i++)
        {
            var index = Positions.At(indices[i]).Resolve((int)matrix.Shape[i], "index")[0];
            // Leading axes go, one after the other; the last two stay.
            if (i < leading) (a, b) = (a.select(0, index), b.select(0, index));
            else if (i == leading) a = a.narrow(-2, index, 1);
            else b = b.narrow(-1, index, 1);
        }
        return new FactoredMatrix(a, b);
    }

    public static FactoredMatrix Select(FactoredMatrix matrix, IReadOnlyList<Positions> axes)
    {
        CheckCount(matrix, axes.Count);
        var (a, b, leading) = (matrix.A, matrix.B, matrix.Dimensions - 2);
        for (var i = 0; i < axes.Count; i++)
        {
            if (axes[i].IsAll) continue;
            var indices = axes[i].Resolve((int)matrix.Shape[i], "index");
            if (i <= leading) a = AxisSlice.Take(a, i, indices);
            if (i != leading) b = AxisSlice.Take(b, i, indices);
        }
        return new FactoredMatrix(a, b);
    }

    private static void CheckCount(FactoredMatrix matrix, int count) => InterpException.Require(
        count <= matrix.Dimensions, "TOO_MANY_INDICES", $"{count} indices for a factored matrix of {matrix.Dimensions} axes {matrix.Shape.Shown()}.");
}
