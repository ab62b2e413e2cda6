using InteropInterp.Plans;
using InteropInterp.Tensors;
using static TorchSharp.torch;

namespace InteropInterp.Caches;

/// <summary>Parts of an axis that keep it, as views where the indices follow each other.</summary>
internal static class AxisSlice
{
    public static Tensor Take(Tensor x, int axis, int[] indices)
    {
        for (var i = 1; i < indices.Length; i++)
            if (indices[i] != indices[0] + i)
                return x.index_select(axis, tensor(Array.ConvertAll(indices, n => (long)n), device: x.device));
        return x.narrow(axis, indices.Length == 0 ? 0 : indices[0], indices.Length);
    }

    /// <param name="x">[rows, pos, ...].</param>
    /// <returns>[rows, chosen, ...]: of each row its own positions.</returns>
    public static Tensor PerRow(Tensor x, IReadOnlyList<RowSpan> spans, Positions positions)
    {
        var places = spans.Select(s => positions.Resolve(s.Length, "position").Select(p => (long)p + s.Offset).ToArray()).ToList();
        var count = places[0].Length;
        InterpException.Require(places.All(p => p.Length == count), "POSITIONS_RAGGED",
            $"The positions {positions} are not equally many in every row; name the same number of each.");
        InterpException.Require(places.SelectMany(p => p).All(p => p < x.size(1)) && x.size(0) == spans.Count, "ROW_SPANS",
            $"The cache has {spans.Count} rows that end at {string.Join(", ", spans.Select(s => s.Offset + s.Length))}; the activation is {x.Shown()}.");
        var index = tensor(places.SelectMany(p => p).ToArray(), [spans.Count, count], device: x.device);
        var shape = x.shape;
        shape[1] = count;
        while (index.dim() < shape.Length) index = index.unsqueeze(-1);
        return x.gather(1, index.expand(shape));
    }
}
