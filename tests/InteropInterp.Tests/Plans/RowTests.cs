using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using InteropInterp.Plans.Interventions;
using InteropInterp.Plans.Metrics;
using InteropInterp.Tokens;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Plans;

/// <summary>Rows of different length in one batch are each what they are alone, on whichever side they are padded.</summary>
public class RowTests
{
    private static readonly Row[] Rows = [new([3, 1, 4, 1, 5, 9, 2]), new([6, 5]), new([3, 5, 8, 9])];

    public static TheoryData<string, PaddingSide> Cases
    {
        get
        {
            var data = new TheoryData<string, PaddingSide>();
            foreach (var kind in TinyModels.Kinds)
                foreach (var side in new[] { PaddingSide.Left, PaddingSide.Right }) data.Add(kind, side);
            return data;
        }
    }

    [Theory, MemberData(nameof(Cases))]
    public void Each_row_equals_itself_alone_in_logits_activations_and_loss(string kind, PaddingSide side)
    {
        using var model = TinyModels.Make(kind);
        using var together = PlanRunner.Run(model, new Plan
        {
            Rows = Rows,
            PaddingSide = side,
            Outputs = Outputs.AllLogits,
            Captures = [new Capture("blocks.*.hook_resid_post"), new Capture("blocks.*.attn.hook_z")],
            Objective = new Objective { Metric = new Loss() },
        });
        using var scope = NewDisposeScope();
        for (var i = 0; i < Rows.Length; i++)
        {
            using var alone = PlanRunner.Run(model, new Plan
            {
                Rows = [Rows[i]],
                Outputs = Outputs.AllLogits,
                Captures = [new Capture("blocks.*.hook_resid_post"), new Capture("blocks.*.attn.hook_z")],
                Objective = new Objective { Metric = new Loss() },
            });
            Tensor Own(Tensor t) => t[i].narrow(0, together.Offsets[i], Rows[i].Length);
            Assert.Equal(0, Golden.Distance(Own(together.Logits!), alone.Logits![0]), 1e-9);
            foreach (var name in alone.Captures.Keys) Assert.Equal(0, Golden.Distance(Own(together[name]), alone[name][0]), 1e-9);
            Assert.Equal(alone.Metric!.item<double>(), together.Metric![i].item<double>(), 1e-9);
        }
    }

    [Theory, MemberData(nameof(Cases))]
    public void Positions_count_in_the_rows_own_tokens_and_negative_ones_from_its_own_end(string kind, PaddingSide side)
    {
        using var model = TinyModels.Make(kind);
        using var together = PlanRunner.Run(model, new Plan
        {
            Rows = Rows,
            PaddingSide = side,
            Outputs = new Outputs { Logits = LogitsWanted.Last },
            Interventions =
            [
                new("blocks.0.hook_attn_out", new ScaleOp(2)) { Where = new Selector { Positions = Positions.At(-2) } },
                new("blocks.1.attn.hook_z", new ZeroOp()) { Where = new Selector { Positions = Positions.At(0, 1), Heads = Positions.At(1, 3) } },
                new("blocks.1.attn.hook_pattern", new ScaleOp(.5)) { Where = new Selector { Positions = Positions.At(1), Last = Positions.At(0) } },
            ],
            Captures = [new Capture("blocks.1.hook_resid_post") { Where = new Selector { Positions = Positions.At(-1, 0) } }],
        });
        using var scope = NewDisposeScope();
        for (var i = 0; i < Rows.Length; i++)
        {
            var length = Rows[i].Length;
            using var alone = PlanRunner.Run(model, new Plan
            {
                Rows = [Rows[i]],
                Outputs = new Outputs { Logits = LogitsWanted.Last },
                Interventions =
                [
                    new("blocks.0.hook_attn_out", new ScaleOp(2)) { Where = new Selector { Positions = Positions.At(length - 2) } },
                    new("blocks.1.attn.hook_z", new ZeroOp()) { Where = new Selector { Positions = Positions.Slice(0, 2), Heads = Positions.At(1, 3) } },
                    new("blocks.1.attn.hook_pattern", new ScaleOp(.5)) { Where = new Selector { Positions = Positions.At(1), Last = Positions.At(0) } },
                ],
                Captures = [new Capture("blocks.1.hook_resid_post") { Where = new Selector { Positions = Positions.At(length - 1, 0) } }],
            });
            Assert.Equal(0, Golden.Distance(together.Logits![i], alone.Logits![0]), 1e-9);
            Assert.Equal(0, Golden.Distance(together["blocks.1.hook_resid_post"][i], alone["blocks.1.hook_resid_post"][0]), 1e-9);
        }
        Assert.All(together.Fired, f => Assert.Equal(Rows.Length, f.Count));
    }

    [Theory, InlineData("gpt2"), InlineData("llama"), InlineData("parallel")]
    public void A_masked_token_is_as_if_it_were_not_there(string kind)
    {
        using var model = TinyModels.Make(kind);
        using var masked = PlanRunner.Run(model, new Plan
        {
            Rows = [new Row([7, 7, 3, 1, 7, 4]) { Mask = [false, false, true, true, false, true] }],
            Outputs = Outputs.AllLogits,
        });
        using var without = PlanRunner.Run(model, new Plan { Rows = [new Row([3, 1, 4])], Outputs = Outputs.AllLogits });
        using var scope = NewDisposeScope();
        var kept = masked.Logits![0].index_select(0, tensor(new long[] { 2, 3, 5 }));
        Assert.Equal(0, Golden.Distance(kept, without.Logits![0]), 1e-9);
    }

    [Theory, InlineData(false), InlineData(true)]
    public void Cutting_a_plan_into_batches_changes_no_number(bool gradient)
    {
        using var model = TinyModels.Make("llama");
        var plan = new Plan
        {
            Rows = Rows,
            Outputs = new Outputs { Logits = LogitsWanted.All, Loss = true, LossPerToken = true },
            Captures = [new Capture("blocks.*.attn.hook_pattern"), .. gradient ? new[] { new Capture("blocks.0.hook_resid_pre") { Gradient = true } } : []],
            Interventions = [new("blocks.1.hook_mlp_out", new ZeroOp()) { Where = new Selector { Rows = Positions.At(2, 0) } }],
            Objective = gradient ? new Objective { Metric = new Loss() } : null,
        };
        using var whole = PlanRunner.Run(model, plan);
        using var cut = PlanRunner.Run(model, plan, new ExecutionOptions { BatchBudget = 1 });
        Assert.Equal(3, PlanRunner.Check(model, plan, new ExecutionOptions { BatchBudget = 1 }).Batches);
        Assert.Equal(0, Golden.Distance(whole.Logits!, cut.Logits!), 1e-12);
        Assert.Equal(0, Golden.Distance(whole.LossPerToken!, cut.LossPerToken!), 1e-12);
        Assert.Equal(whole.Loss!.Value, cut.Loss!.Value, 1e-12);
        Assert.Equal(whole.Captures.Keys, cut.Captures.Keys);
        foreach (var name in whole.Captures.Keys) Assert.Equal(0, Golden.Distance(whole[name], cut[name]), 1e-12);
    }

    [Fact]
    public void Each_row_has_its_own_interventions()
    {
        using var model = TinyModels.Make("gpt2");
        using var values = randn(2, 1, 16, dtype: ScalarType.Float64);
        Row[] rows = [new([3, 1, 4, 1]), new([5, 9, 2, 6]), new([5, 3, 5, 8])];
        using var together = PlanRunner.Run(model, new Plan
        {
            Rows = rows,
            Outputs = Outputs.AllLogits,
            // A value per selected row, in the order in which they are selected.
            Interventions = [new("blocks.1.hook_resid_pre", new SetOp(values)) { Where = new Selector { Rows = Positions.At(2, 0), Positions = Positions.At(1) } }],
        });
        using var scope = NewDisposeScope();
        for (var i = 0; i < 3; i++)
        {
            using var alone = PlanRunner.Run(model, new Plan
            {
                Rows = [rows[i]],
                Outputs = Outputs.AllLogits,
                Interventions = i == 1 ? [] : [new("blocks.1.hook_resid_pre", new SetOp(values[i == 2 ? 0 : 1])) { Where = new Selector { Positions = Positions.At(1) } }],
            });
            Assert.Equal(0, Golden.Distance(together.Logits![i], alone.Logits![0]), 1e-9);
        }
    }
}
