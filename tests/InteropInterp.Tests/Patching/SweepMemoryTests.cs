using System.Globalization;
using System.Text.RegularExpressions;
using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Models.Weights;
using InteropInterp.Patching;
using InteropInterp.Patching.Corruptions;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using InteropInterp.Plans.Metrics;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Patching;

public partial class SweepMemoryTests
{
    private static readonly Plan Clean = new() { Rows = Row.From([[5, 9, 17, 3, 8, 30], [11, 4, 4, 21, 2, 7]]) };
    private static readonly Plan Corrupt = new() { Rows = Row.From([[5, 9, 12, 3, 25, 30], [11, 6, 4, 21, 33, 7]]) };

    private static TransformerModel Model() => ModelLoader.Random(
        new TransformerConfig
        {
            LayerCount = 3, ModelWidth = 16, HeadWidth = 4, ContextLength = 12, VocabularySize = 40, Activation = "gelu_new", InitializerRange = 0.4, Seed = 1,
        },
        new LoadOptions { Processing = ProcessingOptions.None, DataType = ScalarType.Float64 });

    private static Sweep Of(SweepGrid grid, SweepSource source, Metric? metric = null) =>
        new() { Base = Clean, Grid = grid, Source = source, Metric = metric ?? new LogitDiff([3, 8], [9, 1]) };

    public static TheoryData<string> Cases => ["resid_pre", "attn_head_out_by_pos", "attn_head_k_by_pos", "attn_head_pattern_by_pos", "mlp_pre", "corruptions", "loss"];

    private static Sweep Case(string name) => name switch
    {
        "mlp_pre" => Of(new SweepGrid(HookSite.MlpPre, SweepAxis.Layer, SweepAxis.Position), new SweepFromRun(Corrupt)),
        "corruptions" => Of(SweepGrid.Of("attn_out"), new SweepCorruptions([new CorruptRun("a", Corrupt), new GaussianNoise("b", Selector.All)])),
        "loss" => Of(SweepGrid.Of("mlp_out"), new SweepZero(), new Loss()),
        var grid => Of(SweepGrid.Of(grid), new SweepFromRun(Corrupt)),
    };

    [Theory, MemberData(nameof(Cases))]
    public void What_is_needed_is_enough_and_a_byte_less_is_refused_before_anything_runs(string name)
    {
        using var model = Model();
        var sweep = Case(name);
        int Passes(Sweep budgeted, out SweepResult result, ExecutionOptions? options = null)
        {
            var passes = 0;
            result = SweepRunner.Run(model, budgeted with { Progress = (_, _) => passes++ }, options);
            return passes;
        }
        var refused = Assert.Throws<InterpException>(() => SweepRunner.Start(model, sweep with { MemoryBudget = 1 }));
        Assert.Equal((ErrorCode.ResourceExhausted, "SWEEP_TOO_LARGE"), (refused.Code, refused.Reason));
        Assert.Contains("its budget is 1.", refused.Message, StringComparison.Ordinal);
        var needed = long.Parse(Number().Match(refused.Message).Groups[1].Value, NumberStyles.AllowThousands, CultureInfo.InvariantCulture);

        Assert.Throws<InterpException>(() => SweepRunner.Start(model, sweep with { MemoryBudget = needed - 1 }));
        var tight = Passes(sweep with { MemoryBudget = needed }, out var cut);
        var free = Passes(sweep, out var whole);
        Assert.True(tight > free, $"{tight} passes with the least memory, {free} without a budget");
        // Nothing but the runs themselves may need more than a cell does: the rest of the budget is not there to be filled.
        Assert.InRange(tight, 3 * Passes(sweep, out _, new ExecutionOptions { BatchBudget = 1 }) / 4, int.MaxValue);
        for (var m = 0; m < whole.Metrics.Count; m++) Assert.Equal(whole.Metrics[m].Values, cut.Metrics[m].Values, (a, b) => Math.Abs(a - b) < 1e-9);
        Assert.Contains($"the limit is {needed - 1:N0}", Assert.Throws<InterpException>(
            () => SweepRunner.Start(model, sweep, new ExecutionOptions { MemoryLimit = needed - 1 })).Message, StringComparison.Ordinal);
    }

    [GeneratedRegex("about ([0-9,]+) bytes")]
    private static partial Regex Number();
}
