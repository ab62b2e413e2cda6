using InteropInterp.Neurons;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Neurons;

public class NeuronsTests
{
    private static string Reason(Action action) => Assert.Throws<InterpException>(action).Reason;

    [Theory, InlineData("gpt2"), InlineData("llama")]
    public void Logit_weights_are_what_a_neuron_writes_unembedded(string kind)
    {
        using var model = TinyModels.Make(kind);
        using var scope = NewDisposeScope();
        var direct = model.StateDict["blocks.1.mlp.W_out"].mm(model.StateDict["ln_final.w"].diag()).mm(model.StateDict["unembed.W_U"]);
        var weights = NeuronLogits.Of(model, 1, [3, 0]);
        Assert.True(Golden.Distance(weights, stack([direct[3], direct[0]])) < 1e-12);
        var top = NeuronLogits.Top(model, 1, [3, 0], 4);
        Assert.Equal([3, 0], top.Select(t => t.Neuron));
        var ranked = direct[0].data<double>().ToArray().Select((w, t) => new TokenWeight(t, w)).OrderByDescending(t => t.Weight).ToList();
        Assert.Equal(ranked.Take(4).Select(t => t.Token), top[1].Promoted.Select(t => t.Token));
        Assert.Equal(ranked.AsEnumerable().Reverse().Take(4).Select(t => t.Token), top[1].Suppressed.Select(t => t.Token));
        Assert.Equal(ranked[0].Weight, top[1].Promoted[0].Weight, 1e-12);
    }

    [Fact]
    public void Neurons_that_do_not_exist_are_refused()
    {
        using var model = TinyModels.Make("gpt2");
        using var attention = TinyModels.Make("attention");
        Assert.Equal("NO_MLP", Reason(() => NeuronLogits.Top(attention, 0, [0], 1)));
        Assert.Equal("LAYER_OUT_OF_RANGE", Reason(() => NeuronLogits.Top(model, 3, [0], 1)));
        Assert.Equal("NEURON_OUT_OF_RANGE", Reason(() => NeuronLogits.Top(model, 0, [64], 1)));
        Assert.Equal("NO_NEURONS", Reason(() => NeuronLogits.Top(model, 0, [], 1)));
        Assert.Equal("TOP_K", Reason(() => NeuronLogits.Top(model, 0, [0], 41)));
    }
}
