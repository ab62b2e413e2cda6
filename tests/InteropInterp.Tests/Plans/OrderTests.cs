using InteropInterp.Plans;
using InteropInterp.Plans.Interventions;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Plans;

/// <summary>At one point interventions run in the order declared, then captures; what was captured never changes.</summary>
public class OrderTests
{
    private const string Point = "blocks.1.hook_resid_pre";

    private static readonly Row[] Rows = [new([3, 1, 4, 1, 5]), new([9, 2, 6, 5, 3])];

    [Fact]
    public void Interventions_run_in_the_order_declared()
    {
        using var model = TinyModels.Make("gpt2");
        using var one = ones(1, ScalarType.Float64);
        Intervention add = new(Point, new AddOp(one)), scale = new(Point, new ScaleOp(3));
        using var plain = PlanRunner.Run(model, new Plan { Rows = Rows, Captures = [new Capture(Point)] });
        using var addFirst = PlanRunner.Run(model, new Plan { Rows = Rows, Captures = [new Capture(Point)], Interventions = [add, scale] });
        using var scaleFirst = PlanRunner.Run(model, new Plan { Rows = Rows, Captures = [new Capture(Point)], Interventions = [scale, add] });
        using var scope = NewDisposeScope();
        var x = plain[Point];
        using var three = 3.0.ToScalar();
        using var unit = 1.0.ToScalar();
        Assert.Equal(0, Golden.Distance(addFirst[Point], x.add(unit, unit).mul(three)), 1e-12);
        Assert.Equal(0, Golden.Distance(scaleFirst[Point], x.mul(three).add(unit, unit)), 1e-12);
    }

    [Fact]
    public void A_capture_before_shows_what_stood_there_first()
    {
        using var model = TinyModels.Make("llama");
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = Rows,
            Captures = [new Capture(Point), new Capture(Point) { Before = true }],
            Interventions = [new(Point, new ZeroOp())],
        });
        using var plain = PlanRunner.Run(model, new Plan { Rows = Rows, Captures = [new Capture(Point)] });
        using var scope = NewDisposeScope();
        Assert.Equal(0, run[Point].abs().max().item<double>());
        Assert.Equal(0, Golden.Distance(run[Point + "_before"], plain[Point]));
    }

    [Fact]
    public void Later_edits_in_place_do_not_reach_what_was_captured()
    {
        using var model = TinyModels.Make("gpt2");
        using var plain = PlanRunner.Run(model, new Plan { Rows = Rows, Captures = [new Capture("*")] });
        // One layer's output is the next one's input: the same memory. So are embeddings and the first input.
        var edits = new[] { "hook_embed", "hook_pos_embed", Point, "blocks.1.attn.hook_z", "blocks.1.hook_attn_out", "blocks.2.hook_resid_pre", "unembed.hook_in" };
        foreach (var edited in edits)
        {
            using var run = PlanRunner.Run(model, new Plan
            {
                Rows = Rows,
                Captures = [new Capture("*")],
                Interventions = [new(edited, new CallbackOp((x, _) =>
                {
                    x.zero_();
                    return null;
                }))],
            });
            using var scope = NewDisposeScope();
            Assert.Equal(0, run[edited].abs().max().item<double>());
            foreach (var name in plain.Captures.Keys.TakeWhile(n => n != edited))
                Assert.True(Golden.Distance(run[name], plain[name]) == 0, $"{name} changed when {edited} was edited");
        }
    }

    [Fact]
    public void An_edit_in_place_never_reaches_the_weights()
    {
        using var model = TinyModels.Make("gpt2");
        using var before = PlanRunner.Run(model, new Plan { Rows = Rows, Outputs = Outputs.AllLogits });
        foreach (var point in new[] { "hook_embed", "hook_pos_embed" })
            PlanRunner.Run(model, new Plan
            {
                Rows = Rows,
                Interventions = [new(point, new CallbackOp((x, _) =>
                {
                    x.zero_();
                    return null;
                }))],
            }).Dispose();
        using var after = PlanRunner.Run(model, new Plan { Rows = Rows, Outputs = Outputs.AllLogits });
        Assert.Equal(0, Golden.Distance(before.Logits!, after.Logits!));
    }
}
