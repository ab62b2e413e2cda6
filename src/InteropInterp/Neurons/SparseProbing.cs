using InteropInterp.Native.Devices;
using InteropInterp.Native.Operators;
using InteropInterp.Randomness;
using static TorchSharp.torch;

namespace InteropInterp.Neurons;

/// <summary>
/// How few neurons tell a feature of the input (Gurnee et al. 2023, "Finding Neurons in a Haystack"): the k best are chosen, and a
/// logistic regression on them alone is judged on tokens it has not seen. That a probe succeeds does not say that the model uses what it
/// found: ablate the neurons.
/// </summary>
public static class SparseProbing
{
    /// <summary>Fits a probe for each size.</summary>
    /// <param name="activations">[tokens, neurons]: a stream's samples.</param>
    /// <param name="labels">Whether each token has the feature.</param>
    /// <exception cref="InterpException">PROBE_SHAPE, PROBE_SIZE, PROBE_LABELS (one class only), INVALID_OPTION, PROBE_NOT_FINITE;
    /// CANCELLED.</exception>
    public static IReadOnlyList<SparseProbe> Fit(
        Tensor activations, IReadOnlyList<bool> labels, SparseProbeOptions? options = null, CancellationToken cancellation = default)
    {
        options ??= new SparseProbeOptions();
        Check(activations, labels, options);
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var (train, test) = Split(labels, options);
        var x = activations.cpu().to(ScalarType.Float64);
        InterpException.Require(x.isfinite().all().item<bool>(), "PROBE_NOT_FINITE", "Some activations are not finite numbers.");
        var seen = x.index_select(0, tensor(train));
        bool[] Labels(long[] tokens) => [.. tokens.Select(t => labels[(int)t])];
        var (trainLabels, testLabels) = (Labels(train), Labels(test));
        var order = options.Selection == ProbeSelection.L1
            ? LassoOrder.Of(Standardized(seen), trainLabels, options.Sizes.Max(), cancellation)
            : ByMeanDifference(Standardized(seen), trainLabels, options.Sizes.Max());
        return [.. options.Sizes.Select(size =>
        {
            Interrupts.Check(cancellation);
            using var inner = NewDisposeScope();
            // What an L1 penalty never lets in cannot be chosen.
            int[] chosen = [.. order.Take(size)];
            var columns = tensor(chosen.Select(n => (long)n).ToArray());
            var (weights, bias) = LogisticRegression.Fit(seen.index_select(1, columns), trainLabels, options.C);
            ProbeQuality Judge(long[] tokens, bool[] truth) => ProbeQuality.Of(
                x.index_select(0, tensor(tokens)).index_select(1, columns).mv(tensor(weights)).Plus(bias).data<double>().ToArray(), truth);
            return new SparseProbe(chosen, weights, bias, Judge(train, trainLabels), Judge(test, testLabels));
        })];
    }

    // A neuron that is always the same tells nothing.
    private static Tensor Standardized(Tensor x)
    {
        var spread = x.std(0, unbiased: false);
        return (x - x.mean([0])) / spread.masked_fill(spread.eq(Scalars.Zero), Scalars.One);
    }

    private static List<int> ByMeanDifference(Tensor x, bool[] labels, int count)
    {
        var (yes, no) = (labels.Count(l => l), labels.Count(l => !l));
        var signs = tensor(labels.Select(l => l ? 1.0 / yes : -1.0 / no).ToArray());
        var (_, best) = x.t().mv(signs).abs().topk(count, 0, true, true);
        return [.. best.data<long>().ToArray().Select(n => (int)n)];
    }

    private static (long[] Train, long[] Test) Split(IReadOnlyList<bool> labels, SparseProbeOptions options)
    {
        // Step 0 is what a stream's reservoir chose its tokens by.
        var tokens = Enumerable.Range(0, labels.Count).ToLookup(
            t => CounterRandom.Uniform(options.Seed, options.Groups?[t] ?? t, 1) < options.TestShare, t => (long)t);
        long[] train = [.. tokens[false]], test = [.. tokens[true]];
        var classes = train.Select(t => labels[(int)t]).Distinct().Count();
        InterpException.Require(classes == 2 && test.Length > 0, "PROBE_LABELS",
            $"Of {train.Length} tokens to fit on {train.Count(t => labels[(int)t])} have the label, and {test.Length} are left to judge by: "
            + "both kinds are needed to fit on, and some tokens to judge by. Give more tokens, or another seed.");
        return (train, test);
    }

    private static void Check(Tensor activations, IReadOnlyList<bool> labels, SparseProbeOptions options)
    {
        InterpException.Require(activations.dim() == 2 && activations.size(0) == labels.Count, "PROBE_SHAPE",
            $"The activations are [{string.Join(", ", activations.shape)}] for {labels.Count} labels; [{labels.Count}, neurons] is expected.");
        InterpException.Require(options.Groups is null || options.Groups.Count == labels.Count, "PROBE_SHAPE",
            $"There are {options.Groups?.Count} groups for {labels.Count} labels; as many are expected.");
        var width = activations.size(1);
        InterpException.Require(options.Sizes.Count > 0 && options.Sizes.All(size => size > 0 && size <= width), "PROBE_SIZE",
            $"Probes of {string.Join(", ", options.Sizes)} neurons; 1 to {width} are expected.");
        InterpException.Require(options.C > 0 && double.IsFinite(options.C), "INVALID_OPTION", $"C is {options.C}; it must be above 0.");
        InterpException.Require(options.TestShare is > 0 and < 1, "INVALID_OPTION", $"The test share is {options.TestShare}; it lies between 0 and 1.");
    }
}
