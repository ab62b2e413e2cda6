using InteropInterp.Native.Interop;
using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries;

/// <summary>Codes without their zeros, token after token (compressed sparse rows). Owns its tensors.</summary>
/// <param name="RowPointers">int64 [tokens + 1]: token t's entries are RowPointers[t] up to RowPointers[t + 1].</param>
/// <param name="Features">int64 [entries], rising within a token.</param>
/// <param name="Values">[entries].</param>
/// <param name="Shape">Of the dense codes, d_sae last.</param>
public sealed record SparseCodes(Tensor RowPointers, Tensor Features, Tensor Values, IReadOnlyList<long> Shape) : IDisposable
{
    /// <param name="codes">[..., d_sae].</param>
    public static SparseCodes Of(Tensor codes) => Of(codes, long.MaxValue)!;

    /// <summary>Null where more than <paramref name="most"/> are not 0.</summary>
    internal static SparseCodes? Of(Tensor codes, long most)
    {
        using var scope = NewDisposeScope();
        var shape = codes.shape;
        var flat = codes.reshape(-1, shape[^1]);
        var entries = flat.nonzero();
        if (entries.size(0) > most) return null;
        var (rows, features) = (entries.select(1, 0).contiguous(), entries.select(1, 1).contiguous());
        var pointers = searchsorted(rows, Ops.Range(flat.size(0) + 1, codes.device));
        var values = flat.index(TensorIndex.Tensor(rows), TensorIndex.Tensor(features));
        return new SparseCodes(
            pointers.DetachFromDisposeScope(), features.DetachFromDisposeScope(), values.DetachFromDisposeScope(), shape);
    }

    /// <summary>Entries that are not 0.</summary>
    public long Count => Features.numel();

    /// <summary>[..., d_sae].</summary>
    public Tensor ToDense()
    {
        using var scope = NewDisposeScope();
        var tokens = RowPointers.size(0) - 1;
        var dense = zeros([tokens, Shape[^1]], Values.dtype, Values.device);
        var lengths = RowPointers.narrow(0, 1, tokens) - RowPointers.narrow(0, 0, tokens);
        var rows = Ops.Range(tokens, Values.device).repeat_interleave(lengths);
        dense.index_put_(Values, TensorIndex.Tensor(rows), TensorIndex.Tensor(Features));
        return dense.view([.. Shape]).MoveToOuterDisposeScope();
    }

    /// <summary>codes · matrix, reading only the rows of active features.</summary>
    /// <param name="matrix">[d_sae, n].</param>
    /// <returns>[..., n].</returns>
    public Tensor Times(Tensor matrix)
    {
        using var scope = NewDisposeScope();
        // Summing bags of rows, each with its weight, is that product. After the offsets: scale_grad_by_freq, mode (0 is sum), sparse,
        // per_sample_weights, include_last_offset.
        var sums = Dispatcher.CallMany(
            "aten::embedding_bag", "", 4, matrix, Features, RowPointers, false, 0L, false, Dispatcher.Argument.Some(Values), true);
        return sums[0].view([.. Shape.Take(Shape.Count - 1), matrix.size(1)]).MoveToOuterDisposeScope();
    }

    public void Dispose()
    {
        RowPointers.Dispose();
        Features.Dispose();
        Values.Dispose();
    }
}
