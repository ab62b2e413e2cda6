using InteropInterp.Plans;
using InteropInterp.Plans.Interventions;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Plans;

/// <summary>patch-from and mean name another run, point, positions and heads; it runs first.</summary>
public class SourceTests
{
    private static readonly Row[] Rows = [new([3, 1, 4, 1, 5]), new([9, 2, 6, 5, 3])];
    private static readonly Row[] Others = [new([8, 9, 7, 9, 3]), new([2, 3, 8, 4, 6])];

    private static Dictionary<string, Plan> Source(params Row[] rows) => new() { ["other"] = new Plan { Rows = rows } };

    [Theory, InlineData("blocks.1.attn.hook_z"), InlineData("blocks.1.hook_resid_pre"), InlineData("blocks.0.attn.hook_pattern"), InlineData("unembed.hook_in")]
    public void A_patch_puts_in_what_the_other_run_has_there(string point)
    {
        using var model = TinyModels.Make("llama");
        using var other = PlanRunner.Run(model, new Plan { Rows = Others, Captures = [new Capture(point)] });
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = Rows,
            Sources = Source(Others),
            Interventions = [new(point, new PatchFromOp("other")) { Where = new Selector { Positions = Positions.At(2) } }],
            Captures = [new Capture(point), new Capture(point) { Before = true }],
        });
        using var scope = NewDisposeScope();
        var axis = point.EndsWith("pattern", StringComparison.Ordinal) ? 2 : 1;
        for (var p = 0; p < 5; p++)
            Assert.Equal(0, Golden.Distance(run[point].select(axis, p), (p == 2 ? other[point] : run[point + "_before"]).select(axis, p)));
    }

    [Fact]
    public void Point_positions_and_heads_of_the_source_may_differ()
    {
        using var model = TinyModels.Make("gpt2");
        using var other = PlanRunner.Run(model, new Plan { Rows = Others, Captures = [new Capture("blocks.0.attn.hook_v")] });
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = Rows,
            Sources = Source(Others),
            Interventions =
            [
                new("blocks.2.attn.hook_q", new PatchFromOp("other") { Point = "blocks.0.attn.hook_v", Positions = Positions.At(-1, 0), Heads = Positions.At(3) })
                {
                    Where = new Selector { Positions = Positions.At(1, 2), Heads = Positions.At(0) },
                },
            ],
            Captures = [new Capture("blocks.2.attn.hook_q")],
        });
        using var scope = NewDisposeScope();
        Assert.Equal(0, Golden.Distance(run["blocks.2.attn.hook_q"].select(1, 1).select(1, 0), other["blocks.0.attn.hook_v"].select(1, 4).select(1, 3)));
        Assert.Equal(0, Golden.Distance(run["blocks.2.attn.hook_q"].select(1, 2).select(1, 0), other["blocks.0.attn.hook_v"].select(1, 0).select(1, 3)));
    }

    [Fact]
    public void One_source_row_serves_all_and_a_source_may_itself_be_patched()
    {
        using var model = TinyModels.Make("gpt2");
        using var third = PlanRunner.Run(model, new Plan { Rows = [Rows[0]], Captures = [new Capture("blocks.1.hook_mlp_out")] });
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = Rows,
            Sources = new Dictionary<string, Plan>
            {
                ["other"] = new Plan
                {
                    Rows = [Others[0]],
                    Sources = new Dictionary<string, Plan> { ["third"] = new Plan { Rows = [Rows[0]] } },
                    Interventions = [new("blocks.1.hook_mlp_out", new PatchFromOp("third"))],
                },
            },
            Interventions = [new("blocks.1.hook_mlp_out", new PatchFromOp("other"))],
            Captures = [new Capture("blocks.1.hook_mlp_out")],
        });
        using var scope = NewDisposeScope();
        for (var row = 0; row < 2; row++) Assert.Equal(0, Golden.Distance(run["blocks.1.hook_mlp_out"][row], third["blocks.1.hook_mlp_out"][0]));
    }

    [Theory, InlineData(false), InlineData(true)]
    public void Mean_ablation_puts_in_the_reference_runs_mean(bool overPositions)
    {
        using var model = TinyModels.Make("gpt2");
        Row[] reference = [.. Others, new([1, 2, 3, 4, 5])];
        using var other = PlanRunner.Run(model, new Plan { Rows = reference, Captures = [new Capture("blocks.1.attn.hook_z")] });
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = Rows,
            Sources = Source(reference),
            Interventions = [new("blocks.1.attn.hook_z", new MeanOp("other", overPositions)) { Where = new Selector { Heads = Positions.At(2), Positions = Positions.At(1, 3) } }],
            Captures = [new Capture("blocks.1.attn.hook_z")],
        });
        using var scope = NewDisposeScope();
        var head = other["blocks.1.attn.hook_z"].select(2, 2);
        foreach (var p in new[] { 1, 3 })
        {
            var mean = overPositions ? head.mean([0, 1]) : head.select(1, p).mean([0]);
            for (var row = 0; row < 2; row++) Assert.Equal(0, Golden.Distance(run["blocks.1.attn.hook_z"][row].select(0, p).select(0, 2), mean), 1e-12);
        }
    }

    [Fact]
    public void Prompts_of_different_length_need_positions_on_both_sides()
    {
        using var model = TinyModels.Make("gpt2");
        Plan Plan(Positions? there) => new()
        {
            Rows = [new([3, 1, 4])],
            Sources = Source(Others[0]),
            Interventions = [new("blocks.1.hook_resid_pre", new PatchFromOp("other") { Positions = there })],
            Captures = [new Capture("blocks.1.hook_resid_pre")],
        };
        Assert.Equal("SOURCE_SHAPE", Assert.Throws<InterpException>(() => PlanRunner.Run(model, Plan(null))).Reason);
        using var other = PlanRunner.Run(model, new Plan { Rows = [Others[0]], Captures = [new Capture("blocks.1.hook_resid_pre")] });
        using var run = PlanRunner.Run(model, Plan(Positions.At(0, 2, 4)));
        using var scope = NewDisposeScope();
        Assert.Equal(0, Golden.Distance(run["blocks.1.hook_resid_pre"], other["blocks.1.hook_resid_pre"].index_select(1, tensor(new long[] { 0, 2, 4 }))));
    }
}
