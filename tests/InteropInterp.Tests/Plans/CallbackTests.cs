using InteropInterp.Plans;
using InteropInterp.Plans.Interventions;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Plans;

public class CallbackTests
{
    private static readonly Row[] Rows = [new([3, 1, 4, 1, 5]), new([9, 2, 6, 5, 3])];

    private static Plan With(string point, Func<Tensor, CallbackContext, Tensor?> function) => new()
    {
        Rows = Rows,
        Outputs = Outputs.AllLogits,
        Interventions = [new(point, new CallbackOp(function))],
    };

    [Fact]
    public void A_callback_sees_all_rows_of_the_plan_in_order_at_every_point_it_matches()
    {
        using var model = TinyModels.Make("llama");
        using var expected = PlanRunner.Run(model, new Plan { Rows = Rows, Captures = [new Capture("blocks.*.hook_resid_post")] });
        var seen = new List<string>();
        using var run = PlanRunner.Run(model, With("blocks.*.hook_resid_post", (x, context) =>
        {
            using var scope = NewDisposeScope();
            seen.Add($"{context.Name} {context.Layer}");
            Assert.Equal(0, Golden.Distance(x, expected[context.Name]));
            return null;
        }));
        Assert.Equal(["blocks.0.hook_resid_post 0", "blocks.1.hook_resid_post 1", "blocks.2.hook_resid_post 2"], seen);
        Assert.Equal(6, run.Fired[0].Count);
    }

    [Fact]
    public void It_may_edit_in_place_or_return_a_replacement()
    {
        using var model = TinyModels.Make("gpt2");
        using var declared = PlanRunner.Run(model, new Plan { Rows = Rows, Outputs = Outputs.AllLogits, Interventions = [new("blocks.1.attn.hook_q", new ZeroOp())] });
        using var inPlace = PlanRunner.Run(model, With("blocks.1.attn.hook_q", (x, _) =>
        {
            x.zero_();
            return null;
        }));
        using var replaced = PlanRunner.Run(model, With("blocks.1.attn.hook_q", (x, _) => zeros_like(x)));
        using var otherType = PlanRunner.Run(model, With("blocks.1.attn.hook_q", (x, _) => zeros_like(x, ScalarType.Float32)));
        foreach (var run in new[] { inPlace, replaced, otherType }) Assert.Equal(0, Golden.Distance(run.Logits!, declared.Logits!));
    }

    [Fact]
    public void It_may_call_the_engine_again_and_throw_without_harm()
    {
        using var model = TinyModels.Make("gpt2");
        using var plain = PlanRunner.Run(model, new Plan { Rows = Rows, Outputs = Outputs.AllLogits });
        using var run = PlanRunner.Run(model, With("blocks.1.hook_resid_pre", (_, _) =>
        {
            using var inner = PlanRunner.Run(model, new Plan { Rows = Rows, Outputs = Outputs.AllLogits });
            Assert.Equal(0, Golden.Distance(inner.Logits!, plain.Logits!));
            return null;
        }));
        Assert.Equal(0, Golden.Distance(run.Logits!, plain.Logits!));

        Assert.Throws<FormatException>(() => PlanRunner.Run(model, With("blocks.1.hook_resid_pre", (_, _) => throw new FormatException())));
        using var after = PlanRunner.Run(model, new Plan { Rows = Rows, Outputs = Outputs.AllLogits });
        Assert.Equal(0, Golden.Distance(after.Logits!, plain.Logits!));
    }

    [Fact]
    public void A_replacement_of_another_shape_is_refused_with_both_shapes()
    {
        using var model = TinyModels.Make("gpt2");
        foreach (var shape in new long[][] { [2, 4, 16], [1, 5, 16], [2, 5, 7] })
        {
            var error = Assert.Throws<InterpException>(() => PlanRunner.Run(model, With("blocks.1.hook_resid_pre", (x, _) => zeros(shape, x.dtype))));
            Assert.Equal("CALLBACK_SHAPE", error.Reason);
            Assert.Contains($"[{string.Join(", ", shape)}]", error.Message, StringComparison.Ordinal);
            Assert.Contains("[2, 5, 16]", error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_plan_with_a_callback_is_not_cut()
    {
        using var model = TinyModels.Make("gpt2");
        var calls = 0;
        using var run = PlanRunner.Run(
            model,
            With("blocks.0.hook_resid_pre", (x, _) =>
            {
                calls++;
                Assert.Equal(2, x.shape[0]);
                return null;
            }),
            new InteropInterp.Plans.Execution.ExecutionOptions { BatchBudget = 1 });
        Assert.Equal(1, calls);
    }
}
