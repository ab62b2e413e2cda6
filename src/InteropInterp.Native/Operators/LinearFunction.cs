using static TorchSharp.torch;

namespace InteropInterp.Native.Operators;

/// <summary>x W^T + b of a constant W and b, with the derivative that oneDNN's product lacks.</summary>
internal sealed class LinearFunction : autograd.SingleTensorFunction<LinearFunction>
{
    public override string Name => nameof(Linear);

    public override Tensor forward(autograd.AutogradContext ctx, params object?[] vars)
    {
        var (x, weight, bias) = ((Tensor)vars[0]!, (Tensor)vars[1]!, (Tensor?)vars[2]);
        ctx.save_for_backward([weight]);
        return Linear.OneDnn(x, weight, bias);
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        var weight = ctx.get_saved_variables()[0];
        // A weight the wrong way round costs oneDNN less than few rows cost MKL (15 rows: 160 against 80 GFLOP/s; 120 rows: 140, 170).
        var gradient = grad_output.numel() < 64 * weight.size(0) ? Linear.Apply(grad_output, weight.t(), null) : grad_output.MatMul(weight);
        return [gradient, null!, null!];
    }
}
