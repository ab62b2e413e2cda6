using System.Runtime.InteropServices;
using InteropInterp.Native.Interop;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Native.Operators;

/// <summary>Operators that TorchSharp lacks or offers only with a temporary Scalar. Results belong to the current scope.</summary>
public static class Ops
{
    /// <summary>a + b.</summary>
    public static Tensor Plus(this Tensor a, Tensor b) => a.add(b, Scalars.One);

    /// <summary>a += b, in place.</summary>
    public static Tensor PlusInPlace(this Tensor a, Tensor b) => a.add_(b, Scalars.One);

    /// <summary>a + value.</summary>
    public static Tensor Plus(this Tensor a, double value)
    {
        using var scalar = value.ToScalar();
        return a.add(scalar, Scalars.One);
    }

    /// <summary>
    /// a b: matrices in the last two dimensions, the others broadcast. TorchSharp's matmul ends the process where this throws.
    /// </summary>
    /// <exception cref="InterpException">BAD_MATMUL: shapes or element types do not fit.</exception>
    public static Tensor MatMul(this Tensor a, Tensor b)
    {
        try
        {
            return a.dim() == 2 && b.dim() == 2 ? a.mm(b) : Dispatcher.Call("aten::matmul", "", a, b);
        }
        catch (Exception e) when (e is ExternalException or InterpException)
        {
            throw new InterpException(ErrorCode.InvalidArgument, "BAD_MATMUL",
                $"There is no matrix product of [{string.Join(", ", a.shape)}] {a.dtype} and [{string.Join(", ", b.shape)}] {b.dtype}.",
                innerException: e);
        }
    }

    /// <summary>a * value.</summary>
    public static Tensor Times(this Tensor a, double value)
    {
        using var scalar = value.ToScalar();
        return a.mul(scalar);
    }

    /// <summary>a + factor * b.</summary>
    public static Tensor PlusScaled(this Tensor a, Tensor b, double factor)
    {
        using var scalar = factor.ToScalar();
        return a.add(b, scalar);
    }

    /// <summary>a / value.</summary>
    public static Tensor DividedBy(this Tensor a, double value)
    {
        using var scalar = value.ToScalar();
        return a.div(scalar);
    }

    /// <summary>
    /// Half types as float32, others as they are: for what is not computed in half precision (decompositions), or not well (norms, metrics).
    /// </summary>
    public static Tensor Wide(this Tensor a) => a.dtype is ScalarType.BFloat16 or ScalarType.Float16 ? a.to(ScalarType.Float32) : a;

    /// <summary>Every element set to <paramref name="value"/>, in place.</summary>
    public static Tensor Fill(this Tensor a, double value)
    {
        using var scalar = value.ToScalar();
        return a.fill_(scalar);
    }

    /// <summary>A tensor of one value.</summary>
    public static Tensor Full(ReadOnlySpan<long> shape, double value, ScalarType dtype, Device? device = null) =>
        empty(shape.ToArray(), dtype, device).Fill(value);

    /// <summary>0, 1, ... count-1 as int64.</summary>
    public static Tensor Range(long count, Device? device = null) => Range(0, count, device);

    /// <summary>start, start+1, ... stop-1 as int64.</summary>
    public static Tensor Range(long start, long stop, Device? device = null)
    {
        using var first = start.ToScalar();
        using var last = stop.ToScalar();
        return arange(first, last, Scalars.IntegerOne, ScalarType.Int64, device);
    }

    /// <summary>
    /// softmax(q kᵀ · scale + mask) v without materialising the pattern.
    /// </summary>
    /// <param name="query">[batch, heads, queries, d].</param>
    /// <param name="key">[batch, key heads, keys, d]; heads must be a multiple of key heads.</param>
    /// <param name="value">[batch, key heads, keys, d].</param>
    /// <param name="mask">Added to the scores, or booleans where true takes part; broadcast to [batch, heads, queries, keys].</param>
    /// <param name="causal">Query i sees keys 0..i; not together with a mask.</param>
    /// <param name="scale">Factor of the scores.</param>
    /// <exception cref="InterpException">BAD_ATTENTION: causal with a mask, or heads that do not divide.</exception>
    public static Tensor ScaledDotProductAttention(Tensor query, Tensor key, Tensor value, Tensor? mask, bool causal, double scale)
    {
        long heads = query.size(1), keyHeads = key.size(1);
        InterpException.Require(!causal || mask is null, "BAD_ATTENTION",
            "Attention is causal or has a mask, not both: put causality into the mask.");
        InterpException.Require(keyHeads > 0 && heads % keyHeads == 0, "BAD_ATTENTION",
            $"{heads} query heads do not share {keyHeads} key heads evenly.");
        return Dispatcher.Call("aten::scaled_dot_product_attention", "", query, key, value, Dispatcher.Argument.Some(mask), 0.0, causal,
            Dispatcher.Argument.Some(scale), heads != keyHeads);
    }

    /// <summary>
    /// One AdamW step for all parameters in one call, in place (PyTorch's fused kernel; about eleven times torch.optim's speed).
    /// </summary>
    /// <param name="steps">One float32 number per parameter: the count of this step, already advanced.</param>
    public static void FusedAdamW(Tensor[] parameters, Tensor[] gradients, Tensor[] firstMoments, Tensor[] secondMoments, Tensor[] steps,
        double learningRate, double beta1, double beta2, double weightDecay, double epsilon)
    {
        foreach (var list in new[] { gradients, firstMoments, secondMoments, steps })
            InterpException.Require(list.Length == parameters.Length, "BAD_OPTIMIZER_STATE",
                $"{parameters.Length} parameters need as many gradients, moments and step counts; got {list.Length}.");
        Dispatcher.Run("aten::_fused_adamw_", "", parameters, gradients, firstMoments, secondMoments, Array.Empty<Tensor>(), steps,
            learningRate, beta1, beta2, weightDecay, epsilon, false, false, Dispatcher.Argument.None, Dispatcher.Argument.None);
    }
}
