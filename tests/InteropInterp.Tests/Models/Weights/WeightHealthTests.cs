using InteropInterp.Models;
using InteropInterp.Models.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Models.Weights;

public class WeightHealthTests
{
    [Fact]
    public void Broken_and_dead_weights_are_named_and_counted()
    {
        using var model =
            ModelLoader.Random(new TransformerConfig { LayerCount = 2, ModelWidth = 8, HeadWidth = 4, ContextLength = 8,
                VocabularySize = 10, Activation = "relu" });
        Assert.All(WeightHealth.Of(model), w => Assert.False(w.IsBroken || w.IsDead, w.ToString()));
        using (NewDisposeScope())
        {
            model.StateDict["blocks.1.attn.W_V"][1, 2].fill_(float.NaN.ToScalar());
            model.StateDict["blocks.0.mlp.W_in"][3, 4].fill_(float.NegativeInfinity.ToScalar());
            model.StateDict["unembed.W_U"].zero_();
        }
        var health = WeightHealth.Of(model).ToDictionary(w => w.Name);
        Assert.Equal((4, 0), (health["blocks.1.attn.W_V"].NotANumber, health["blocks.1.attn.W_V"].Infinite));
        Assert.Equal((0, 1), (health["blocks.0.mlp.W_in"].NotANumber, health["blocks.0.mlp.W_in"].Infinite));
        Assert.InRange(health["blocks.0.mlp.W_in"].Largest, 0.1, 10);
        Assert.True(health["unembed.W_U"].IsDead);
        Assert.False(health["unembed.b_U"].IsDead);
        Assert.Equal(3, health.Values.Count(w => w.IsBroken || w.IsDead));
    }
}
