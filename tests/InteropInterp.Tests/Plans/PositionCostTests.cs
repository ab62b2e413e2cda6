using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using InteropInterp.Plans.Interventions;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Plans;

/// <summary>What ops and transforms of other projects cost is part of a plan's report and of how it is cut.</summary>
public class PositionCostTests
{
    private static readonly TransformerConfig Config = new()
    {
        LayerCount = 2, ModelWidth = 8, HeadWidth = 4, HeadCount = 2, ContextLength = 8, VocabularySize = 10, Activation = "relu", Seed = 1,
    };

    private static readonly Plan Plan = new() { Rows = Row.From([[1, 2, 3], [4, 5, 6]]), StopAtLayer = 1 };

    private sealed record Costly(long Values) : InterventionOp
    {
        public override string Name => "costly";

        public override PositionCost Cost => new(1000, Values);

        public override Tensor Apply(Tensor region, OpInput input) => region.clone();
    }

    private sealed record Widened(int Width) : ICaptureTransform
    {
        public List<long> Seen { get; } = [];

        public string Suffix => "widened";

        public PositionCost Cost => new(50, 0);

        public void Check(HookPoint point, IReadOnlyList<long> shape) => Seen.AddRange(shape);

        public IReadOnlyList<long> Shape(IReadOnlyList<long> shape) => [.. shape.Take(2), Width];

        public Tensor Apply(Tensor activation) => zeros(activation.size(0), activation.size(1), Width);
    }

    [Fact]
    public void Operations_of_an_op_are_counted_at_each_of_its_points_and_a_transforms_at_its_own()
    {
        using var model = ModelLoader.Random(Config);
        var bare = PlanRunner.Check(model, Plan);
        var withOp = PlanRunner.Check(model, Plan with { Interventions = [new Intervention("blocks.0.hook_resid_*", new Costly(0))] });
        Assert.Equal(bare.Flops + 2 * 3 * 1000 * withOp.Points[0].Count, withOp.Flops, 1e-6);
        Assert.Equal(3, withOp.Points[0].Count);
        var capture = new Capture("blocks.0.hook_resid_pre") { Transform = new Widened(5) };
        var withCapture = PlanRunner.Check(model, Plan with { Captures = [capture] });
        Assert.Equal(bare.Flops + 2 * 3 * 50, withCapture.Flops, 1e-6);
    }

    [Fact]
    public void Memory_of_an_op_cuts_a_plan_into_more_batches()
    {
        using var model = ModelLoader.Random(Config);
        var options = new ExecutionOptions { BatchBudget = 1 << 20 };
        Assert.Equal(1, PlanRunner.Check(model, Plan, options).Batches);
        var costly = Plan with { Interventions = [new Intervention("blocks.0.hook_resid_pre", new Costly(1 << 18))] };
        var report = PlanRunner.Check(model, costly, options);
        Assert.Equal(2, report.Batches);
        Assert.InRange(report.WorkingBytes, 3L << 20, (3L << 20) + (1 << 18));
        using var whole = PlanRunner.Run(model, costly);
        using var cut = PlanRunner.Run(model, costly, options);
        Assert.InRange(Golden.Distance(whole.Residual!, cut.Residual!), 0, 1e-5);
    }

    [Fact]
    public void The_report_gives_the_shape_of_what_a_transform_keeps_and_the_transform_checks_the_selected_part()
    {
        using var model = ModelLoader.Random(Config);
        var transform = new Widened(5);
        var capture = new Capture("blocks.0.attn.hook_z")
        {
            Transform = transform, Where = new Selector { Positions = Positions.At(0, 2), Heads = Positions.At(1) },
        };
        var report = PlanRunner.Check(model, Plan with { Captures = [capture] });
        Assert.Equal([-1, -1, 1, 4], transform.Seen);
        Assert.Equal([2, 2, 5], report.Captures["blocks.0.attn.hook_z.widened"]);
        using var run = PlanRunner.Run(model, Plan with { Captures = [capture] });
        Assert.Equal([2, 2, 5], run["blocks.0.attn.hook_z.widened"].shape);
    }
}
