using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace InteropInterp.Native.Operators;

/// <summary>
/// Reverse-mode derivatives. TorchSharp's autograd.grad lets libtorch's exceptions end the process (a graph walked twice, a
/// tensor changed in place that it needs); its backward does not, and gives the same numbers.
/// </summary>
public static class Backward
{
    /// <summary>
    /// The gradients of the sum over outputs of (output · cotangent) with respect to each input.
    /// </summary>
    /// <param name="outputs">Tensors with a graph.</param>
    /// <param name="inputs">Tensors of that graph, leaves or not. Their own grad is left as it was.</param>
    /// <param name="cotangents">One per output, of its shape; null for outputs of one element each, with cotangent 1.</param>
    /// <param name="retainGraph">Keep the graph for another walk.</param>
    /// <param name="createGraph">Make the gradients differentiable themselves; implies <paramref name="retainGraph"/>.</param>
    /// <returns>One per input, of its shape; null where no output depends on it.</returns>
    /// <exception cref="InterpException">NO_GRADIENT: what libtorch says of it.</exception>
    public static Tensor?[] Gradients(
        Tensor[] outputs, Tensor[] inputs, Tensor[]? cotangents = null, bool retainGraph = false, bool createGraph = false)
    {
        InterpException.Require(cotangents is null || cotangents.Length == outputs.Length, "NO_GRADIENT",
            $"{outputs.Length} outputs need as many cotangents; got {cotangents?.Length}.");
        var before = new Tensor?[inputs.Length];
        for (var i = 0; i < inputs.Length; i++)
        {
            InterpException.Require(inputs[i].requires_grad, "NO_GRADIENT", $"Input {i} does not require a gradient.");
            before[i] = inputs[i].grad;
            inputs[i].grad = null;
        }
        try
        {
            autograd.backward(outputs, cotangents, retainGraph || createGraph, createGraph, inputs);
            return Array.ConvertAll(inputs, input => input.grad);
        }
        catch (ExternalException e)
        {
            throw new InterpException(ErrorCode.FailedPrecondition, "NO_GRADIENT",
                $"No gradient: {e.Message.Split('\n')[0]}", innerException: e);
        }
        finally
        {
            for (var i = 0; i < inputs.Length; i++) inputs[i].grad = before[i];
        }
    }
}
