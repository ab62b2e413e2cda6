using InteropInterp.Circuits;

namespace InteropInterp.Studies.IndirectObjects;

/// <summary>
/// What <see cref="IndirectObjectCircuitStudy"/> found. Tables of heads are [layer · heads + head]; effects are shares of the clean
/// logit difference, above 0 where the component helps.
/// </summary>
public sealed record IndirectObjectCircuit
{
    public required string Model { get; init; }

    public required ResidualGraph Graph { get; init; }

    public required IndirectObjectPrompts Prompts { get; init; }

    public required IndirectObjectCircuitOptions Options { get; init; }

    public required TaskBehaviour Behaviour { get; init; }

    public required DirectEffects Direct { get; init; }

    /// <summary>One per corruption: swapped, unrelated.</summary>
    public required IReadOnlyList<HeadEffects> Sweeps { get; init; }

    /// <summary>From the last position, means over prompts.</summary>
    public required HeadAttention Attention { get; init; }

    /// <summary>Heads that write the answer, strongest first.</summary>
    public required IReadOnlyList<Sender> Movers { get; init; }

    /// <summary>Heads that write against it.</summary>
    public required IReadOnlyList<Sender> NegativeMovers { get; init; }

    /// <summary>Heads that tell the movers where to look or what to copy.</summary>
    public required IReadOnlyList<Sender> Feeders { get; init; }

    /// <summary>The first is into the logits; then into the movers and into the feeders.</summary>
    public required IReadOnlyList<PathEffects> Paths { get; init; }

    public required SelfRepair Repair { get; init; }

    /// <summary>Attribution patching beside patching, by site.</summary>
    public required IReadOnlyList<Agreement> Agreements { get; init; }

    /// <summary>Heads by their largest effect in any sweep, either direction.</summary>
    public required IReadOnlyList<Sender> Ranking { get; init; }

    /// <summary>All MLPs and the first so many heads of the ranking; all else is mean-ablated.</summary>
    public required IReadOnlyList<CircuitPerformance> NodeCurve { get; init; }

    /// <summary>Edges by their scores; likewise.</summary>
    public required IReadOnlyList<CircuitPerformance> EdgeCurve { get; init; }

    /// <summary>EAP-IG's.</summary>
    public required EdgeScores Edges { get; init; }

    public required FoundCircuit Found { get; init; }

    /// <summary>The smallest circuit of <see cref="EdgeCurve"/> that recovers the share asked for; all edges where none does.</summary>
    public Circuit EdgeCircuit =>
        Circuit.Top(Edges, EdgeCurve.FirstOrDefault(p => p.Recovered >= Options.Recovered)?.Edges ?? Graph.EdgeCount);

    /// <summary>The head of an index in the tables of heads.</summary>
    public Sender HeadAt(int index) => Sender.Head(index / Graph.Config.HeadCount, index % Graph.Config.HeadCount);

    /// <summary>How many heads a circuit of <see cref="NodeCurve"/> has beside the MLPs and the embedding.</summary>
    public int Heads(CircuitPerformance point) => point.Nodes - Graph.Senders.Count(s => s.Kind != SenderKind.Head);

    /// <summary>The scores of <see cref="Edges"/>, which are of patching the edge away, with the sign that is above 0 where it helps.</summary>
    public EdgeScores Helping() => Edges.Negated();
}

/// <summary>What the model does on the prompts, per row: logit(answer) - logit(other name).</summary>
/// <param name="Swapped">With the answer swapped.</param>
/// <param name="Unrelated">With unrelated names.</param>
/// <param name="Probability">Of the answer, mean over prompts.</param>
/// <param name="First">The share of prompts on which the answer is the likeliest token of all.</param>
public sealed record TaskBehaviour(
    IReadOnlyList<double> Clean, IReadOnlyList<double> Swapped, IReadOnlyList<double> Unrelated, double Probability, double First)
{
    public double Mean => Clean.Average();

    public double StandardError => Math.Sqrt(Clean.Sum(x => (x - Mean) * (x - Mean)) / Math.Max(1, Clean.Count - 1) / Clean.Count);

    /// <summary>The share of prompts on which the answer is likelier than the other name.</summary>
    public double Accuracy => (double)Clean.Count(x => x > 0) / Clean.Count;
}

/// <summary>What components write towards the answer themselves, in logits; it sums to the logit difference.</summary>
/// <param name="Mlps">By layer.</param>
/// <param name="Others">The embedding, biases.</param>
public sealed record DirectEffects(IReadOnlyList<double> Heads, IReadOnlyList<double> Mlps, IReadOnlyList<(string Name, double Value)> Others)
{
    public double Sum => Heads.Sum() + Mlps.Sum() + Others.Sum(x => x.Value);
}

/// <summary>Each head's output patched alone, at all positions.</summary>
/// <param name="Restored">What its clean output restores in the corrupted run: sufficiency.</param>
/// <param name="Lost">What its corrupted output takes from the clean run: necessity.</param>
public sealed record HeadEffects(string Corruption, IReadOnlyList<double> Restored, IReadOnlyList<double> Lost);

/// <summary>What heads attend to from the last position.</summary>
/// <param name="Answer">The indirect object.</param>
/// <param name="Other">The other name where it stands first.</param>
/// <param name="Again">Where it comes again.</param>
public sealed record HeadAttention(IReadOnlyList<double> Answer, IReadOnlyList<double> Other, IReadOnlyList<double> Again);

/// <summary>What is lost when each sender has unrelated names' values for some receivers alone (path patching).</summary>
/// <param name="Name">Of the receivers, in words.</param>
/// <param name="Lost">Per sender of the graph; 0 where no path leads there.</param>
public sealed record PathEffects(string Name, IReadOnlyList<Receiver> Receivers, IReadOnlyList<double> Lost);

/// <summary>The movers' outputs at the last position taken away together.</summary>
/// <param name="Predicted">What is lost if everything behind them but the final norm keeps its value.</param>
/// <param name="Actual">What is lost in truth, all behind them recomputed.</param>
/// <param name="Backups">Heads that then write more towards the answer, with how much more (shares), most first.</param>
public sealed record SelfRepair(double Predicted, double Actual, IReadOnlyList<(Sender Head, double Gain)> Backups)
{
    /// <summary>The share of the predicted loss that later components make good; below 0 where they make it worse.</summary>
    public double Repaired => 1 - Actual / Predicted;
}

/// <summary>How well a linear estimate tells what patching does, over heads.</summary>
/// <param name="Correlation">Pearson's.</param>
/// <param name="Slope">Of the estimate on the effect, through the origin.</param>
public sealed record Agreement(
    string Site, double Correlation, double Slope, double LargestError, IReadOnlyList<double> Estimates, IReadOnlyList<double> Effects);

/// <summary>The circuit the study settles on.</summary>
/// <param name="Heads">Its heads; all MLPs and the embedding are in it too.</param>
/// <param name="Performance">With all else mean-ablated, and with its heads mean-ablated and all else left, MLPs too.</param>
/// <param name="Minimality">Per head, by how much the logit difference moves without it, as a share, largest first.</param>
/// <param name="Knockouts">What circuit and model do after the same heads are taken from both.</param>
public sealed record FoundCircuit(
    IReadOnlyList<Sender> Heads, Circuit Circuit, CircuitPerformance Performance, IReadOnlyList<(Sender Node, double Change)> Minimality,
    IReadOnlyList<(string Name, Knockout Knockout)> Knockouts);
