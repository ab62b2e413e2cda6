using InteropInterp.Circuits;
using InteropInterp.Plans.Execution;
using InteropInterp.Studies;

namespace InteropInterp.Tests.Studies;

public class ModelStudyTests
{
    // What the previous-token head writes is what the induction heads' keys read (Elhage et al. 2021: K-composition).
    [Fact]
    public void The_circuit_leads_through_the_keys_of_the_induction_heads()
    {
        using var model = HookedTransformer.FromPretrained("induction");
        var study = ModelStudy.Run(model, new InductionStudyOptions { Rows = 16 });
        var c = study.Circuit!;
        var (graph, scores) = (c.Edges.Graph, study.Induction.Scores);
        var previous = Sender.Head(0, scores.PreviousToken.Take(4).Index().MaxBy(x => x.Item).Index);
        var strongest = c.Edges.Ranked(absolute: false)
            .First(e => graph.Receivers[e.Receiver].Layer == 1 && graph.Senders[e.Sender].Kind == SenderKind.Head);
        Assert.Equal((previous, ReceiverKind.Key), (graph.Senders[strongest.Sender], graph.Receivers[strongest.Receiver].Kind));
        Assert.Equal(24, c.Considered);
        Assert.InRange(c.Circuit.EdgeCount, 12, 24);
        Assert.InRange(c.Performance.Recovered, 0.8, 1.2);
    }

    [Fact]
    public void A_circuit_that_needs_too_much_memory_is_left_out_with_the_reason()
    {
        using var model = HookedTransformer.FromPretrained("induction");
        model.Options = new ExecutionOptions { BatchBudget = 1 << 20 };
        var study = ModelStudy.Run(model, new InductionStudyOptions { Rows = 1, PatchedRows = 1, SingleHeads = 1 });
        Assert.Null(study.Circuit);
        Assert.Contains("MiB", study.WhyNoCircuit);
        Assert.NotEmpty(study.Induction.Patching.Corruptions);
    }
}
