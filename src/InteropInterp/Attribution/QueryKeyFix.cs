using InteropInterp.Models;
using InteropInterp.Models.Forward;
using InteropInterp.Native.Operators;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Attribution;

/// <summary>
/// What patching one query or key does to the pattern, exactly, times the gradient of the pattern (AtP*'s QK fix, Kramár et al.
/// 2024, section 3.1.1 and appendix). In float64: a softmax that is nearly one-hot leaves nothing else to see.
/// </summary>
internal sealed class QueryKeyFix
{
    private readonly Tensor pattern, gradient, scores;
    private readonly Func<Tensor, Tensor, Tensor> score;
    private readonly Tensor queries, keys;

    /// <param name="pattern">[rows, heads, query, key].</param>
    /// <param name="gradient">Of the metric, there.</param>
    /// <param name="queries">[rows, pos, heads, d_head], as they meet keys (rotated).</param>
    /// <param name="keys">[rows, pos, key heads, d_head].</param>
    public QueryKeyFix(TransformerConfig config, int layer, Tensor pattern, Tensor gradient, Tensor queries, Tensor keys)
    {
        (this.pattern, this.gradient) = (pattern.to(ScalarType.Float64), gradient.to(ScalarType.Float64));
        (this.queries, this.keys) = (queries, keys);
        score = (q, k) =>
        {
            var (a, b) = (q.to(ScalarType.Float64).transpose(1, 2),
                AttentionKernel.EachQueryHead(k.to(ScalarType.Float64).transpose(1, 2), config.HeadCount, 1));
            var s = a.MatMul(b.transpose(-2, -1)).DividedBy(config.ScoreDivisor(layer));
            return config.ScoresSoftCap > 0 ? ForwardPass.SoftCap(s, config.ScoresSoftCap) : s;
        };
        scores = score(queries, keys);
    }

    /// <summary>Each query patched alone: [rows, pos, heads].</summary>
    public Tensor Queries(Tensor replacement)
    {
        // What may not be attended to has no share, whatever its score.
        var patched = (pattern.log().Plus(score(replacement, keys) - scores)).softmax(-1).nan_to_num(0.0);
        return ((patched - pattern) * gradient).sum(-1).transpose(1, 2);
    }

    /// <summary>Each key patched alone: [rows, pos, key heads]; of a key head that queries share, the sum over them.</summary>
    public Tensor Keys(Tensor replacement)
    {
        // A row's share at one key becomes e / (rest + e), and the rest shrinks by the same divisor.
        var change = (score(queries, replacement) - scores).clamp_max(Limit);
        var own = pattern * change.exp();
        var rest = WithoutOwn(pattern);
        var divisor = rest.Plus(own);
        var others = WithoutOwn(pattern * gradient);
        var effect = (others / divisor - others).Plus((own / divisor - pattern) * gradient).masked_fill(pattern.eq(Scalars.Zero),
            Scalars.Zero);
        // [rows, heads, key] -> [rows, key, key heads].
        var perHead = effect.sum(2).transpose(1, 2);
        return perHead.unflatten(2, keys.size(2), -1).sum(-1);
    }

    // e^700 is still a float64.
    private static readonly Scalar Limit = 700.0.ToScalar();

    // For each entry of the last axis the sum of all others, without subtracting: what is left beside a share of nearly one counts.
    private static Tensor WithoutOwn(Tensor x)
    {
        Tensor Before(Tensor y) => cat([zeros_like(y.narrow(-1, 0, 1)), y.cumsum(-1).narrow(-1, 0, y.size(-1) - 1)], -1);
        return Before(x).Plus(Before(x.flip(-1)).flip(-1));
    }
}
