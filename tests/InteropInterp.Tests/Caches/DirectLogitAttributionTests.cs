using InteropInterp.Caches;
using InteropInterp.Models;
using InteropInterp.Plans;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Caches;

public class DirectLogitAttributionTests
{
    private static readonly Row[] Rows = [new([3, 1, 4, 1, 5]), new([9, 2, 6])];

    public static TheoryData<string, AttributionUnit> Cases
    {
        get
        {
            var cases = new TheoryData<string, AttributionUnit>();
            foreach (var kind in TinyModels.Kinds)
                foreach (var unit in new[] { AttributionUnit.Component, AttributionUnit.Head, AttributionUnit.Neuron }) cases.Add(kind, unit);
            return cases;
        }
    }

    [Theory, MemberData(nameof(Cases))]
    public void Components_sum_to_logits_and_to_logit_differences(string kind, AttributionUnit unit)
    {
        using var model = TinyModels.Make(kind);
        var plan = new Plan { Rows = Rows, Outputs = Outputs.AllLogits };
        using var run = PlanRunner.Run(model, plan);
        using var logit = DirectLogitAttribution.Run(model, plan, new([7, 30]) { Unit = unit });
        using var difference = DirectLogitAttribution.Run(model, plan, new([7, 30]) { Incorrect = [2], Unit = unit, Positions = Positions.At(0, -1) });
        using var scope = NewDisposeScope();
        double Logit(int row, int position, int token) => run.Logits![row, position, token].item<double>();
        Assert.Equal((logit.Labels.Count, 2L, 1L), (logit.Values.size(0), logit.Values.size(1), logit.Values.size(2)));
        foreach (var (row, last, token) in new[] { (0, 4, 7), (1, 2, 30) })
        {
            Assert.Equal(Logit(row, last, token), logit.Values.sum([0])[row, 0].item<double>(), 1e-10);
            Assert.Equal(Logit(row, 0, token) - Logit(row, 0, 2), difference.Values.sum([0])[row, 0].item<double>(), 1e-10);
            Assert.Equal(Logit(row, last, token) - Logit(row, last, 2), difference.Values.sum([0])[row, 1].item<double>(), 1e-10);
        }
    }

    [Fact]
    public void They_are_TransformerLenss_on_a_trained_model()
    {
        using var golden = new Golden(SharedFolder.Path("fixtures", "analysis", "cache.safetensors"));
        using var model = HookedTransformer.FromPretrained(SharedFolder.Path("fixtures", "models", "gpt2_shakespeare"));
        var plan = new Plan { Rows = Row.From(golden.Rows("tokens")) };
        using var scope = NewDisposeScope();
        using var components = model.AttributeLogits(plan, new([881]) { Incorrect = [720] });
        golden.Near("logit_attrs(pos_slice=-1)", components.Values.narrow(0, 0, 10).squeeze(2), 2e-5);
        using var neurons = model.AttributeLogits(plan, new([881]) { Incorrect = [720], Unit = AttributionUnit.Neuron });
        golden.Near("get_full_resid_decomposition(projected, apply_ln)", neurons.Values.narrow(0, 0, 2067).squeeze(2), 2e-5);
        Assert.Equal(2068, neurons.Labels.Count);
        var best = components.Top(2);
        Assert.True(Math.Abs(best[0].Value) >= Math.Abs(best[1].Value) && components.Labels.Contains(best[0].Label));
    }

    [Fact]
    public void The_stream_of_a_layer_is_attributed_as_it_stands()
    {
        using var model = TinyModels.Make("gpt2");
        var plan = new Plan { Rows = Rows, Captures = [new Capture("*")] };
        using var layers = DirectLogitAttribution.Run(model, plan, new([7]) { Unit = AttributionUnit.Layer });
        using var parts = DirectLogitAttribution.Run(model, plan, new([7]));
        Assert.Equal(["0_pre", "1_pre", "2_pre", "final_post"], layers.Labels);
        using var scope = NewDisposeScope();
        // embed + pos_embed; then each block adds two parts.
        for (var l = 0; l <= 3; l++)
            Assert.Equal(parts.Values.narrow(0, 0, 2 + 2 * l).sum([0])[1, 0].item<double>(), layers.Values[l, 1, 0].item<double>(), 1e-10);
    }

    [Fact]
    public void What_cannot_be_attributed_is_refused()
    {
        using var model = TinyModels.Make("attention");
        string Reason(Plan plan, DirectLogitAttributionOptions options) =>
            Assert.Throws<InterpException>(() => DirectLogitAttribution.Run(model, plan, options)).Reason;
        Assert.Equal("ATTRIBUTION_ROWS", Reason(new Plan { Rows = Rows }, new([1, 2, 3])));
        Assert.Equal("TOKEN_OUT_OF_RANGE", Reason(new Plan { Rows = Rows }, new([40])));
        Assert.Equal("ATTRIBUTION_PLAN", Reason(new Plan { Rows = Rows, StopAtLayer = 1 }, new([1])));
        Assert.Equal("POSITIONS_RAGGED", Reason(new Plan { Rows = Rows }, new([1]) { Positions = Positions.All }));
    }
}
