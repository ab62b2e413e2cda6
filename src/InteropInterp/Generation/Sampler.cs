using InteropInterp.Native.Operators;
using InteropInterp.Randomness;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Generation;

/// <summary>
/// From logits to tokens: repetition penalty, temperature, frequency penalty, top-k or top-p, in TransformerLens's order
/// (utils.sample_logits), then a draw keyed by (seed, row, step).
/// </summary>
public static class Sampler
{
    /// <exception cref="InterpException">INVALID_SAMPLING names the setting.</exception>
    public static void Check(GenerationOptions options)
    {
        void Require(bool condition, string message) => InterpException.Require(condition, "INVALID_SAMPLING", message);
        Require(options.MaxNewTokens > 0, $"max_new_tokens is {options.MaxNewTokens}; it must be above 0.");
        Require(options.Temperature >= 0, $"temperature is {options.Temperature}; it must be 0 or above.");
        Require(options.TopK is null or > 0, $"top_k is {options.TopK}; it must be above 0.");
        Require(options.TopP is null or (> 0 and <= 1), $"top_p is {options.TopP}; it must be above 0 and at most 1.");
        Require(options.TopK is null || options.TopP is null, "top_k and top_p exclude each other.");
        Require(options.RepetitionPenalty >= 0, $"repetition_penalty is {options.RepetitionPenalty}; it must be 0 (off) or above.");
    }

    /// <summary>One token per row.</summary>
    /// <param name="logits">[rows, vocabulary].</param>
    /// <param name="history">The tokens of each row so far; the penalties count them.</param>
    /// <param name="rows">The number that keys each row's draw.</param>
    public static int[] Next(
        Tensor logits, GenerationOptions options, IReadOnlyList<IReadOnlyList<int>> history, IReadOnlyList<int> rows, int step, ulong seed)
    {
        using var scope = NewDisposeScope();
        if (!options.Sample || options.Temperature == 0) return Integers(logits.argmax(-1));
        var cumulative = Probabilities(logits, options, history).cumsum(-1);
        var draws = tensor(rows.Select(row => CounterRandom.Uniform(seed, row, step)).ToArray(), device: logits.device).unsqueeze(1);
        // Scaled by the total: rounding must not leave a gap above the last token.
        var targets = draws * cumulative.narrow(-1, cumulative.size(-1) - 1, 1);
        return Integers(cumulative.le(targets).sum(-1, type: ScalarType.Int64));
    }

    /// <summary>The distribution that is drawn from: [rows, vocabulary] float64.</summary>
    public static Tensor Probabilities(Tensor logits, GenerationOptions options, IReadOnlyList<IReadOnlyList<int>> history)
    {
        using var scope = NewDisposeScope();
        var x = logits.to(ScalarType.Float64);
        var counts = options.FrequencyPenalty != 0 || options.RepetitionPenalty is not (0 or 1) ? Counts(x, history) : null;
        if (options.RepetitionPenalty is not (0 or 1))
        {
            var penalised = where(x.gt(Scalars.Zero), x.DividedBy(options.RepetitionPenalty), x.Times(options.RepetitionPenalty));
            x = where(counts!.gt(Scalars.Zero), penalised, x);
        }
        x = x.DividedBy(options.Temperature == 0 ? 1 : options.Temperature);
        if (options.FrequencyPenalty != 0) x = x.PlusScaled(counts!, -options.FrequencyPenalty);
        if (options.TopK is { } k) x = KeepTopK(x, Math.Min(k, x.size(-1)));
        else if (options.TopP is { } p) x = KeepTopP(x, p);
        return x.softmax(-1).MoveToOuterDisposeScope();
    }

    // Ties with the k-th likeliest all stay, as in TransformerLens.
    private static Tensor KeepTopK(Tensor x, long k)
    {
        var (values, _) = x.topk((int)k, -1);
        return x.masked_fill(x.lt(values.narrow(-1, k - 1, 1)), Scalars.NegativeInfinity);
    }

    // The token that passes the threshold stays: those go whose likelier tokens already sum above p.
    private static Tensor KeepTopP(Tensor x, double p)
    {
        using var threshold = p.ToScalar();
        var (sorted, order) = x.sort(-1, descending: true, stable: true);
        var probabilities = sorted.softmax(-1);
        var remove = (probabilities.cumsum(-1) - probabilities).gt(threshold);
        return x.masked_fill(remove.gather(-1, order.argsort(-1)), Scalars.NegativeInfinity);
    }

    private static Tensor Counts(Tensor x, IReadOnlyList<IReadOnlyList<int>> history)
    {
        long rows = x.size(0), vocabulary = x.size(1);
        var counts = new double[rows * vocabulary];
        for (var row = 0; row < rows; row++)
            foreach (var token in history[row]) counts[row * vocabulary + token]++;
        return tensor(counts, [rows, vocabulary], device: x.device);
    }

    private static int[] Integers(Tensor t) => [.. t.cpu().data<long>().ToArray().Select(i => (int)i)];
}
