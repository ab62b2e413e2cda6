using InteropInterp.Models;
using InteropInterp.Native.Interop;
using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Circuits.Weights;

/// <summary>A weight whose singular directions are read as tokens.</summary>
public enum DirectionSource
{
    /// <summary>W_V W_O of a head: what it writes.</summary>
    OV,

    /// <summary>W_in of an MLP: what its neurons read.</summary>
    MlpIn,

    /// <summary>W_out of an MLP: what its neurons write.</summary>
    MlpOut,
}

/// <summary>
/// The singular directions of a weight in the residual stream, through the unembedding (Millidge and Black 2022, "The Singular Value
/// Decompositions of Transformer Weight Matrices are Highly Interpretable"; TransformerLens's SVDInterpreter). The sign of each is free.
/// </summary>
/// <param name="Values">Singular values, largest first.</param>
/// <param name="Logits">[d_vocab_out, directions].</param>
public sealed record SingularDirections(Tensor Values, Tensor Logits) : IDisposable
{
    /// <param name="head">Of an OV circuit.</param>
    /// <param name="count">Directions, from the largest singular value down.</param>
    /// <exception cref="InterpException">LAYER_OUT_OF_RANGE, HEAD_OUT_OF_RANGE, NO_MLP, INVALID_OPTION.</exception>
    public static SingularDirections Of(TransformerModel model, DirectionSource source, int layer, int head = 0, int count = 10)
    {
        var config = model.Config;
        config.CheckLayer(layer);
        if (source == DirectionSource.OV) config.CheckHead(head);
        else if (!config.HasMlp) throw InterpException.Precondition("NO_MLP", "The model has attention only: there is no MLP.");
        InterpException.Require(count > 0, "INVALID_OPTION", $"{count} directions are asked for; at least one is needed.");
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var (values, directions) = source == DirectionSource.OV ? Head(model, layer, head) : Mlp(model, source, layer);
        count = (int)Math.Min(count, directions.size(-1));
        return new SingularDirections(
            values.narrow(0, 0, count).clone().DetachFromDisposeScope(),
            model.Weights.Unembed.MatMul(directions.narrow(1, 0, count).to(model.DataType)).DetachFromDisposeScope());
    }

    /// <summary>The tokens that a direction stands for at each of its ends, strongest first.</summary>
    public (IReadOnlyList<int> Positive, IReadOnlyList<int> Negative) Tokens(int direction, int count)
    {
        using var scope = NewDisposeScope();
        IReadOnlyList<int> Top(bool largest)
        {
            var places = Logits.select(1, direction).topk((int)Math.Min(count, Logits.size(0)), 0, largest, true).indexes;
            return [.. places.cpu().data<long>().ToArray().Select(t => (int)t)];
        }

        return (Top(true), Top(false));
    }

    private static (Tensor Values, Tensor Directions) Head(TransformerModel model, int layer, int head)
    {
        var (_, s, v) = AttentionCircuits.OV(model, layer)[head].Svd();
        return (s, v);
    }

    private static (Tensor Values, Tensor Directions) Mlp(TransformerModel model, DirectionSource source, int layer)
    {
        // Both [d_mlp, d_model]: what is read, through the weight of the norm before it, or what is written.
        var block = $"blocks.{layer}.mlp.";
        var matrix = source == DirectionSource.MlpOut ? model.StateDict[$"{block}W_out"] : model.StateDict[$"{block}W_in"].t();
        if (source == DirectionSource.MlpIn && model.Weights.Blocks[layer].Ln2 is { } norm) matrix = matrix * norm.Weight;
        var parts = Dispatcher.CallMany("aten::linalg_svd", "", 3, matrix.Wide(), false, Dispatcher.Argument.None);
        return (parts[1], parts[2].t());
    }

    public void Dispose()
    {
        Values.Dispose();
        Logits.Dispose();
    }
}
