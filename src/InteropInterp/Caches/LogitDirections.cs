using InteropInterp.Models;
using InteropInterp.Native.Operators;
using InteropInterp.Tensors;
using static TorchSharp.torch;

namespace InteropInterp.Caches;

/// <summary>The directions of the residual stream that logits read: columns of W_U, through the weights of the final norm.</summary>
public static class LogitDirections
{
    /// <summary>
    /// What a logit is, behind the norm's centring and scale: logit = direction · x + constant. Folded models have the column of
    /// W_U; in others the norm's weight is in it, which TransformerLens leaves out. A soft cap on the logits comes after.
    /// </summary>
    /// <param name="tokens">Token ids, int64 of any shape.</param>
    /// <param name="incorrect">Of the same shape: the direction of the difference; null: of the logit itself.</param>
    /// <returns>[..., d_model], the caller owns it.</returns>
    /// <exception cref="InterpException">TOKEN_OUT_OF_RANGE, TOKENS_SHAPE.</exception>
    public static Tensor Of(TransformerModel model, Tensor tokens, Tensor? incorrect = null)
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        InterpException.Require(incorrect is null || incorrect.shape.SequenceEqual(tokens.shape), "TOKENS_SHAPE",
            $"The tokens are {tokens.Shown()} and those they are compared with {incorrect.Shown()}: as many of both are expected.");
        var directions = Columns(model, tokens);
        if (incorrect is not null) directions = directions - Columns(model, incorrect);
        if (model.Weights.FinalNorm is { } norm) directions = directions * norm.Weight;
        return directions.DetachFromDisposeScope();
    }

    /// <summary>The direction of one token, or of its difference to another: [d_model], the caller owns it.</summary>
    public static Tensor Of(TransformerModel model, int token, int? incorrect = null)
    {
        using var scope = NewDisposeScope();
        return Of(model, tensor((long)token, device: CPU), incorrect is { } other ? tensor((long)other, device: CPU) : null);
    }

    /// <summary>What is added to a logit, or a difference of two, whatever the stream: b_U, and the final norm's bias times W_U.</summary>
    /// <returns>A single number, in the current scope.</returns>
    internal static Tensor Constant(TransformerModel model, int token, int? incorrect = null)
    {
        Tensor Of(int id)
        {
            var constant = model.Weights.UnembedBias?[id] ?? zeros([], model.DataType, model.Device);
            return model.Weights.FinalNorm?.Bias is { } shift ? constant.Plus(model.Weights.Unembed[id].dot(shift)) : constant;
        }

        return incorrect is { } other ? Of(token) - Of(other) : Of(token);
    }

    private static Tensor Columns(TransformerModel model, Tensor tokens)
    {
        var ids = tokens.to(ScalarType.Int64).flatten();
        foreach (var id in ids.cpu().data<long>().ToArray())
            model.Config.CheckPredicted(id);
        return model.Weights.Unembed.index_select(0, ids.to(model.Device)).view([.. tokens.shape, model.Config.ModelWidth]);
    }
}
