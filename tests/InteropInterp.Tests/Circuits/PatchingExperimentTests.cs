using InteropInterp.Attribution;
using InteropInterp.Circuits;
using InteropInterp.Patching;
using InteropInterp.Plans;
using InteropInterp.Plans.Metrics;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Circuits;

/// <summary>Circuits built by hand, whose answers are known: what each direction of patching can and cannot show.</summary>
public class PatchingExperimentTests
{
    private static readonly Metric IsOne = new LogitDiff([1], [0]);

    private static PatchingExperiment Experiment((int A, int B) clean, (int A, int B) corrupt) => new(
        new Plan { Rows = [new Row(GateModel.Row(clean.A, clean.B))] }, new Plan { Rows = [new Row(GateModel.Row(corrupt.A, corrupt.B))] },
            IsOne);

    [Theory]
    [InlineData("and", 0, 0, 0, 1), InlineData("or", 0, 1, 1, 1), InlineData("xor", 0, 1, 1, 0), InlineData("backup", 0, 0, 1, 1)]
    public void Gates_have_their_truth_tables(string gate, params int[] values)
    {
        using var model = GateModel.Make(gate);
        var rows = new[] { (0, 0), (0, 1), (1, 0), (1, 1) }.Select(x => new Row(GateModel.Row(x.Item1, x.Item2))).ToList();
        using var run = PlanRunner.Run(model, new Plan { Rows = rows, Objective = new Objective { Metric = IsOne } });
        using var scope = NewDisposeScope();
        Assert.True(Golden.Distance(run.Metric!, tensor(values)) < 1e-12);
    }

    // An AND needs both inputs: restoring one does nothing, breaking one breaks it. An OR is the other way round. A XOR has no
    // sufficient input whose other one is as it should be already. A backup hides most of what its primary does.
    [Theory]
    [InlineData("and", 1, 1, 0, 0, new[] { 0.0, 0.0 }, new[] { 1.0, 1.0 })]
    [InlineData("or", 1, 1, 0, 0, new[] { 1.0, 1.0 }, new[] { 0.0, 0.0 })]
    [InlineData("xor", 1, 0, 0, 0, new[] { 1.0, 0.0 }, new[] { 1.0, 0.0 })]
    [InlineData("xor", 1, 0, 1, 1, new[] { 0.0, 1.0 }, new[] { 0.0, 1.0 })]
    [InlineData("backup", 1, 0, 0, 0, new[] { 1.0, 0.7 }, new[] { 0.3, 0.0 })]
    public void Denoising_and_noising_show_each_input_of_a_gate_as_it_is(string gate, int a, int b, int corruptA, int corruptB,
        double[] restored, double[] lost)
    {
        using var model = GateModel.Make(gate);
        var found = Experiment((a, b), (corruptA, corruptB)).Explore(model, SweepGrid.Of("attn_head_out_all_pos"));
        for (var head = 0; head < 2; head++)
        {
            Assert.Equal(restored[head], found.Restored[head], 1e-12);
            Assert.Equal(lost[head], found.Lost[head], 1e-12);
        }
    }

    [Theory]
    [InlineData("and", 0.0, 0.0, 1.0), InlineData("or", 1.0, 1.0, 1.0)]
    public void A_hypothesised_circuit_is_tested_with_all_of_the_rest_corrupted(string gate, double first, double second, double both)
    {
        using var model = GateModel.Make(gate);
        var graph = new ResidualGraph(model.Config);
        Circuit Of(params Sender[] heads) => Circuit.OfNodes(graph, [.. heads, Sender.Mlp(0)]);
        var (a, b) = (Sender.Head(0, 0), Sender.Head(0, 1));
        var found = Experiment((1, 1), (0, 0)).Confirm(model, [Of(a), Of(b), Of(a, b)]);
        foreach (var (expected, i) in new[] { first, second, both }.Select((x, i) => (x, i))) Assert.Equal(expected, found[i].Recovered,
            1e-12);
        // The MLP is in all of them, and nothing outside does its work.
        Assert.All(found, x => Assert.Equal(0, x.RecoveredOutside!.Value, 1e-12));
    }

    [Fact]
    public void Acdc_finds_both_inputs_of_an_and_but_only_one_of_an_or()
    {
        foreach (var (gate, heads) in new[] { ("and", 2), ("or", 1) })
        {
            using var model = GateModel.Make(gate);
            var pair = Experiment((1, 1), (0, 0));
            using var runner = new CircuitRunner(model,
                new CircuitTask { Prompts = pair.Clean, Ablation = new SweepFromRun(pair.Corrupt), Metric = IsOne });
            var found = Acdc.Find(runner, 0.01).Circuit;
            Assert.Equal(heads, found.Nodes.Count(n => n.Kind == SenderKind.Head));
            Assert.True(found.Contains(Sender.Mlp(0), Receiver.Logits));
            Assert.False(found.Contains(Sender.Input, Receiver.Logits));
            Assert.Equal(1, CircuitEvaluation.Faithfulness(runner, found).Recovered, 1e-12);
        }
    }

    [Fact]
    public void Attribution_sees_neither_input_of_an_and_from_the_corrupted_side_and_integrated_gradients_see_both()
    {
        using var model = GateModel.Make("and");
        var pair = Experiment((1, 1), (0, 0));
        EdgeScores Scores(EdgeMethod method, PatchDirections direction) => EdgePatcher.Run(model, new EdgePatch
        {
            Clean = pair.Clean, Corrupt = pair.Corrupt, Metric = IsOne, Method = method, Direction = direction, Steps = 20,
        });
        var edge = (Sender.Head(0, 0), Receiver.Mlp(0));
        Assert.Equal(0, Scores(EdgeMethod.Gradient, PatchDirections.Denoising)[edge.Item1, edge.Item2], 1e-12);
        Assert.Equal(-1, Scores(EdgeMethod.Gradient, PatchDirections.Noising)[edge.Item1, edge.Item2], 1e-12);
        Assert.Equal(0.5, Scores(EdgeMethod.IntegratedActivations, PatchDirections.Denoising)[edge.Item1, edge.Item2], 1e-12);
    }

    [Fact]
    public void Prompts_that_give_the_same_are_refused()
    {
        using var model = GateModel.Make("xor");
        var pair = Experiment((1, 0), (0, 1));
        Assert.Equal("TASK_NOT_SOLVED", Assert.Throws<InterpException>(() =>
            pair.Explore(model, SweepGrid.Of("attn_head_out_all_pos"))).Reason);
        Assert.Equal("TASK_NOT_SOLVED", Assert.Throws<InterpException>(() =>
            pair.Confirm(model, [Circuit.Full(new ResidualGraph(model.Config))])).Reason);
    }
}
