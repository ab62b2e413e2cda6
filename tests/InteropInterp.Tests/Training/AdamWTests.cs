using InteropInterp.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Training;

public class AdamWTests
{
    private static readonly AdamWOptions Options = new() { Beta1 = 0.8, Beta2 = 0.95, WeightDecay = 0.1, Epsilon = 1e-6 };

    [Fact]
    public void Steps_are_those_of_Loshchilov_and_Hutter()
    {
        using var scope = NewDisposeScope();
        double[] gradients = [0.5, -2, 0.25];
        var parameter = tensor(new[] { 1.5f });
        using var optimiser = new AdamW([KeyValuePair.Create("w", parameter)], Options);
        double w = 1.5, m = 0, v = 0;
        for (var t = 1; t <= gradients.Length; t++)
        {
            var (g, rate) = (gradients[t - 1], 0.1 / t);
            w -= rate * Options.WeightDecay * w;
            (m, v) = (Options.Beta1 * m + (1 - Options.Beta1) * g, Options.Beta2 * v + (1 - Options.Beta2) * g * g);
            w -= rate * (m / (1 - Math.Pow(Options.Beta1, t))) / (Math.Sqrt(v / (1 - Math.Pow(Options.Beta2, t))) + Options.Epsilon);
            optimiser.Step([tensor(new[] { (float)g })], rate);
            Assert.Equal(w, parameter.item<float>(), 1e-6);
        }
        var state = optimiser.State.ToDictionary(s => s.Key, s => s.Value);
        Assert.Equal(m, state["m.w"].item<float>(), 1e-6);
        Assert.Equal(v, state["v.w"].item<float>(), 1e-6);
        Assert.Equal(3, state["step"].item<float>());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Gradients_may_have_any_strides_and_parameters_be_stored_transposed(bool isTransposed)
    {
        using var scope = NewDisposeScope();
        var gradient = tensor(new float[] { 1, 2, 3, 4, 5, 6 }, [2, 3]);
        var (plain, strided) = (zeros(3, 2), isTransposed ? zeros(2, 3).t() : zeros(3, 2));
        using var first = new AdamW([KeyValuePair.Create("w", plain)], new AdamWOptions { Epsilon = 1 });
        using var second = new AdamW([KeyValuePair.Create("w", strided)], new AdamWOptions { Epsilon = 1 });
        first.Step([gradient.t().contiguous()], 0.1);
        second.Step([gradient.t()], 0.1);
        Assert.Equal(plain.data<float>().ToArray(), strided.contiguous().data<float>().ToArray());
        Assert.NotEqual(plain[0, 1].item<float>(), plain[1, 0].item<float>());
    }

    [Fact]
    public void What_cannot_be_trained_is_refused()
    {
        using var scope = NewDisposeScope();
        Assert.Equal("NOTHING_TO_TRAIN", Assert.Throws<InterpException>(() => new AdamW([])).Reason);
        Assert.Equal("PARAMETER_NOT_CONTIGUOUS",
            Assert.Throws<InterpException>(() => new AdamW([KeyValuePair.Create("w", zeros(2, 3).narrow(1, 0, 2))])).Reason);
        var error = Assert.Throws<InterpException>(() => new AdamW([KeyValuePair.Create("w", zeros(2))], new AdamWOptions { Beta2 = 1 }));
        Assert.Contains("beta2 is 1", error.Message);
    }

    [Theory]
    [InlineData(0, 0.25)]
    [InlineData(3, 1)]
    [InlineData(5, 1)]
    [InlineData(8, 1)]
    [InlineData(9, 0.5)]
    [InlineData(10, 0)]
    public void A_schedule_rises_stays_and_falls(long step, double expected) =>
        Assert.Equal(expected, new LearningRateSchedule(1, WarmUpSteps: 4, DecaySteps: 2).At(step, 10));
}
