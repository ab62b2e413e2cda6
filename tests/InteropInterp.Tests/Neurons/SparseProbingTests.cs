using InteropInterp.Native.Operators;
using InteropInterp.Neurons;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Neurons;

public class SparseProbingTests
{
    private static string Reason(Action action) => Assert.Throws<InterpException>(action).Reason;

    // 400 tokens of 30 neurons; the label shifts neurons 7 (much), 12 (some) and 20 (a little).
    private static (Tensor X, bool[] Labels) Planted(ulong seed = 5)
    {
        using var generator = new Generator(seed);
        var x = randn([400, 30], ScalarType.Float64, generator: generator);
        bool[] labels = [.. Enumerable.Range(0, 400).Select(i => i % 3 == 0)];
        var truth = tensor(labels.Select(l => l ? 1.0 : 0.0).ToArray());
        foreach (var (neuron, shift) in new[] { (7, 3.0), (12, 1.5), (20, 1.0) }) x[TensorIndex.Colon, neuron] = x[TensorIndex.Colon, neuron].PlusScaled(truth, shift);
        // Another scale changes nothing that is found.
        x[TensorIndex.Colon, 12] = x[TensorIndex.Colon, 12] * tensor(100.0);
        return (x, labels);
    }

    [Fact]
    public void Logistic_regression_is_scikit_learns()
    {
        using var scope = NewDisposeScope();
        var x = tensor(new[] { .5, 1.2, 1, .3, -.2, .8, 1.5, -.5, -1, -.3, -.7, .2, -1.2, .9, .1, -1 }).view(8, 2);
        var (w, b) = LogisticRegression.Fit(x, [true, true, true, true, false, false, false, false], 1);
        Assert.Equal(1.217163, w[0], 1e-5);
        Assert.Equal(.671679, w[1], 1e-5);
        Assert.Equal(-.121439, b, 1e-5);
    }

    [Theory, InlineData(ProbeSelection.MeanDifference), InlineData(ProbeSelection.L1)]
    public void The_planted_neurons_are_found_and_judged_on_other_tokens(ProbeSelection selection)
    {
        using var scope = NewDisposeScope();
        var (x, labels) = Planted();
        var probes = SparseProbing.Fit(x, labels, new SparseProbeOptions { Sizes = [1, 3], Selection = selection });
        Assert.Equal([7], probes[0].Neurons);
        Assert.Equal([7, 12, 20], probes[1].Neurons);
        Assert.True(probes[0].Test.Accuracy > 0.85 && probes[1].Test.F1 > probes[0].Test.F1);
        // What the probe says of its own tokens, from its weights.
        var scores = x.index_select(1, tensor(probes[1].Neurons.Select(n => (long)n).ToArray())).mv(tensor(probes[1].Weights.ToArray())).data<double>().ToArray();
        var right = scores.Zip(labels).Count(s => s.First + probes[1].Bias > 0 == s.Second);
        Assert.InRange(right / 400.0, Math.Min(probes[1].Test.Accuracy, probes[1].Train.Accuracy), Math.Max(probes[1].Test.Accuracy, probes[1].Train.Accuracy));
    }

    [Fact]
    public void Groups_stay_on_one_side_and_labels_of_noise_are_not_learnt()
    {
        using var scope = NewDisposeScope();
        var (x, labels) = Planted();
        // Each group is one token many times over: to have seen it would be to know it.
        var rows = tensor(Enumerable.Range(0, 400).Select(i => (long)(i / 10)).ToArray());
        var copies = x.index_select(0, rows);
        bool[] noise = [.. Enumerable.Range(0, 400).Select(i => i / 10 * 7 % 5 < 2)];
        var options = new SparseProbeOptions { Sizes = [30], Groups = [.. rows.data<long>().ToArray()] };
        var apart = SparseProbing.Fit(copies, noise, options)[0];
        var mixed = SparseProbing.Fit(copies, noise, options with { Groups = null })[0];
        Assert.True(mixed.Test.Accuracy > 0.9 && apart.Test.Accuracy < 0.8, $"{mixed.Test} {apart.Test}");
    }

    [Fact]
    public void Qualities_are_counted()
    {
        var quality = ProbeQuality.Of([1, -1, 2, -2, 3], [true, true, false, false, true]);
        Assert.Equal((3 / 5.0, 2 / 3.0, 2 / 3.0, 2 / 3.0), (quality.Accuracy, quality.Precision, quality.Recall, quality.F1));
    }

    [Fact]
    public void What_cannot_be_probed_is_refused()
    {
        using var scope = NewDisposeScope();
        var (x, labels) = Planted();
        string Fit(Tensor? a = null, bool[]? l = null, SparseProbeOptions? o = null) => Reason(() => SparseProbing.Fit(a ?? x, l ?? labels, o));
        Assert.Equal("PROBE_SHAPE", Fit(l: labels[1..]));
        Assert.Equal("PROBE_SHAPE", Fit(o: new() { Groups = [1] }));
        Assert.Equal("PROBE_SIZE", Fit(o: new() { Sizes = [31] }));
        Assert.Equal("PROBE_SIZE", Fit(o: new() { Sizes = [] }));
        Assert.Equal("PROBE_LABELS", Fit(l: new bool[400]));
        Assert.Equal("INVALID_OPTION", Fit(o: new() { C = 0 }));
        Assert.Equal("INVALID_OPTION", Fit(o: new() { TestShare = 1 }));
        // The share is that of the tokens to judge by: next to none of it leaves all to fit on.
        using var all = rand(40, 3, ScalarType.Float64);
        var none = Assert.Throws<InterpException>(() => SparseProbing.Fit(all, [.. Enumerable.Range(0, 40).Select(i => i % 2 == 0)], new() { TestShare = 1e-6, Sizes = [1] }));
        Assert.StartsWith("Of 40 tokens to fit on 20 have the label, and 0 are left", none.Message, StringComparison.Ordinal);
        Assert.Equal("PROBE_NOT_FINITE", Fit(a: x.log()));
    }
}
