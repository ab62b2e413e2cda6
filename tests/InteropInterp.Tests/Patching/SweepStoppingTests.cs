using InteropInterp.Models;
using InteropInterp.Models.Weights;
using InteropInterp.Patching;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using InteropInterp.Plans.Metrics;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Patching;

/// <summary>What is known of a sweep while it runs, and what it leaves when it is stopped.</summary>
public class SweepStoppingTests
{
    private static readonly ExecutionOptions SmallPasses = new() { BatchBudget = 1 };

    private static TransformerModel Model() => ModelLoader.Random(
        new TransformerConfig
        {
            LayerCount = 3, ModelWidth = 16, HeadWidth = 4, ContextLength = 12, VocabularySize = 40, Activation = "gelu_new", InitializerRange = 0.4, Seed = 1,
        },
        new LoadOptions { Processing = ProcessingOptions.None, DataType = ScalarType.Float64 });

    private static readonly Sweep Sweep = new()
    {
        Base = new Plan { Rows = Row.From([[5, 9, 17, 3, 8, 30], [11, 4, 4, 21, 2, 7]]) }, Grid = SweepGrid.Of("attn_head_out_by_pos"), Source = new SweepZero(),
        Metric = new LogitDiff([3, 8], [9, 1]), MoreMetrics = [new Loss()],
    };

    [Fact]
    public void Portions_hold_every_cell_once_with_its_numbers()
    {
        using var model = Model();
        var portions = new List<SweepPortion>();
        var result = SweepRunner.Run(model, Sweep with { Portions = portions.Add }, SmallPasses);
        Assert.True(portions.Count > 10, $"{portions.Count} portions");
        Assert.Equal(Enumerable.Range(0, result.Values.Count), portions.SelectMany(p => p.Cells).Order());
        foreach (var portion in portions)
            for (var m = 0; m < 2; m++)
            {
                var (some, all) = (portion.Metrics[m], result.Metrics[m]);
                Assert.Equal(portion.Cells.Select(c => all.Values[c]), some.Values);
                Assert.Equal(portion.Cells.SelectMany(c => all.PerRow!.Skip(2 * c).Take(2)), some.PerRow!);
                Assert.Equal(all.Baseline, some.Baseline);
            }
        Assert.True(result.IsComplete);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_cancelled_sweep_ends_within_a_pass_and_gives_what_is_known(bool byFunction)
    {
        using var model = Model();
        using var cancel = new CancellationTokenSource();
        var sweep = byFunction ? Sweep with { Metric = null, MoreMetrics = [], Function = logits => logits.shape[1] } : Sweep;
        var whole = SweepRunner.Run(model, sweep);
        var atCancel = 0;
        var stopped = SweepRunner.RunUntilCancelled(model, sweep with
        {
            Progress = (done, _) =>
            {
                if (done < 20 || cancel.IsCancellationRequested) return;
                atCancel = done;
                cancel.Cancel();
            },
        }, cancel.Token, SmallPasses);
        Assert.False(stopped.IsComplete);
        Assert.Equal(whole.Shape, stopped.Shape);
        // Not a cell more than those that were known when it was cancelled.
        Assert.Equal(atCancel, stopped.Values.Count(v => !double.IsNaN(v)));
        Assert.InRange(atCancel, 20, 71);
        for (var cell = 0; cell < whole.Values.Count; cell++)
            if (!double.IsNaN(stopped.Values[cell])) Assert.Equal(whole.Values[cell], stopped.Values[cell], 1e-9);
        Assert.Equal("CANCELLED", Assert.Throws<InterpException>(() => SweepRunner.Run(model, sweep, cancellation: cancel.Token)).Reason);
        Assert.True(SweepRunner.RunUntilCancelled(model, sweep, CancellationToken.None).IsComplete);
    }
}
