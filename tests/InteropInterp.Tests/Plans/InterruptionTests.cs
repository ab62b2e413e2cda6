using InteropInterp.Generation;
using InteropInterp.Models;
using InteropInterp.Native.Devices;
using InteropInterp.Native.Operators;
using InteropInterp.Patching;
using InteropInterp.Plans;
using InteropInterp.Plans.Interventions;
using InteropInterp.Plans.Metrics;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Plans;

/// <summary>Work that is stopped at any of the places where it can be leaves no tensor behind, and the model usable.</summary>
public class InterruptionTests
{
    private static readonly Row[] Clean = [new([3, 1, 4, 1]), new([6, 5, 3, 7])];
    private static readonly Row[] Corrupt = [new([3, 2, 4, 1]), new([6, 9, 3, 7])];
    private static readonly LogitDiff Difference = new([1, 2], [3, 4]);

    private static readonly Dictionary<string, Func<TransformerModel, double>> Work = new()
    {
        ["captures"] = model => Run(model, new Plan { Rows = Clean, Captures = [new Capture("*")], Outputs = Outputs.AllLogits }),
        ["gradients"] = model => Run(model, new Plan
        {
            Rows = Clean, Objective = new Objective { Metric = Difference },
            Captures = [new Capture("*hook_z") { Gradient = true }, new Capture("*hook_resid_pre") { Gradient = true }],
        }),
        ["another run's activations"] = model => Run(model, new Plan
        {
            Rows = Corrupt, Sources = new Dictionary<string, Plan> { ["clean"] = new() { Rows = Clean } }, Outputs = Outputs.AllLogits,
            Interventions = [new Intervention("blocks.*.attn.hook_z", new PatchFromOp("clean"))],
        }),
        ["generation"] = model => Run(model, new Plan { Rows = Clean, Generation = new GenerationOptions { MaxNewTokens = 4 }, Captures = [new Capture("hook_embed")] }),
        ["a packed sweep"] = model => Sweep(model, new Plan { Rows = Corrupt }, Difference),
        ["a rectangular sweep"] = model =>
            Sweep(model, new Plan { Rows = Corrupt, Interventions = [new Intervention("blocks.0.hook_attn_out", new ScaleOp(.5))] }, Difference),
        ["a sweep with a function"] = model => Sweep(model, new Plan { Rows = Corrupt }, null),
    };

    public static TheoryData<string> Names => [.. Work.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void Stopped_anywhere_it_leaves_nothing_behind(string name)
    {
        using var model = TinyModels.Make("gpt2", ScalarType.Float32);
        var expected = Work[name](model);
        var checks = 0;
        using (Interrupts.Watch(() => checks++)) Assert.Equal(expected, Work[name](model));
        Assert.True(checks > 1, "Nothing could have stopped it.");
        var before = LiveTensors.Count;
        for (var stop = 1; stop <= checks; stop++)
        {
            var seen = 0;
            void Stop()
            {
                if (++seen == stop) throw new InterpException(ErrorCode.Cancelled, "CANCELLED", "Stopped by the test.");
            }
            using (Interrupts.Watch(Stop)) Assert.Equal("CANCELLED", Assert.Throws<InterpException>(() => Work[name](model)).Reason);
            Assert.True(before == LiveTensors.Count, $"Stopped at check {stop} of {checks} it leaves {LiveTensors.Count - before} tensors.");
        }
        Assert.Equal(expected, Work[name](model));
    }

    private static double Run(TransformerModel model, Plan plan)
    {
        using var result = PlanRunner.Run(model, plan);
        using var scope = NewDisposeScope();
        return result.Logits?.sum().item<float>() ?? result.Tokens?.Sum(row => row.Sum()) ?? result.Captures.Values.Sum(t => t.sum().item<float>());
    }

    private static double Sweep(TransformerModel model, Plan plan, Metric? metric) => SweepRunner.Run(model, new Sweep
    {
        Base = plan, Grid = SweepGrid.Of("attn_head_out_by_pos"), Source = new SweepFromRun(new Plan { Rows = Clean }), Metric = metric,
        Function = metric is null ? logits => logits[0, -1, 0].item<float>() : null,
    }).Values.Sum();
}
