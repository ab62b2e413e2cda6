using InteropInterp.Models;
using InteropInterp.Native.Operators;
using static TorchSharp.torch;

namespace InteropInterp.Neurons;

/// <summary>Which tokens directions of the residual stream speak for, through no other component.</summary>
public static class DirectLogits
{
    /// <summary>(direction · w) W_U, w the weights of the final norm where the model still has them; without the norm's division.</summary>
    /// <param name="directions">[..., d_model].</param>
    /// <returns>[..., d_vocab_out], in the current scope.</returns>
    public static Tensor Of(TransformerModel model, Tensor directions)
    {
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        directions = directions.to(model.DataType, model.Device);
        if (model.StateDict.Names.Contains("ln_final.w")) directions = directions * model.StateDict["ln_final.w"];
        return directions.MatMul(model.StateDict["unembed.W_U"]).MoveToOuterDisposeScope();
    }
}
