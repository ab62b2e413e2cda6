using System.Globalization;
using InteropInterp.Circuits;
using InteropInterp.Studies.IndirectObjects;

namespace InteropInterp.Reports;

/// <summary>
/// An indirect-object circuit in words made from its numbers: what the pattern of results shows, and what it cannot show (the pitfalls of
/// Heimersheim and Nanda 2024, sections 3 to 5).
/// </summary>
public static class IndirectObjectFindings
{
    // Where a probability moves little however the logits move; where a correlation of estimates is one to trust.
    private const double Saturated = 0.9, Trusted = 0.95;

    // A component moves less than this share: the paper's bound of an idle head.
    private const double Idle = 0.01;

    // As many heads as one reads.
    private const int Named = 8;

    /// <summary>Headings with their sentences.</summary>
    public static IReadOnlyList<(string Title, string Text)> Of(IndirectObjectCircuit c) =>
    [
        ("Behaviour", Behaviour(c.Behaviour)), ("The circuit", Circuit(c)), ("Sufficient and necessary", Directions(c)),
        ("Negative components", Negative(c)), ("Self-repair", Repair(c)), ("Complete and minimal", Completeness(c)),
        ("Estimates", Estimates(c)), ("Scope", Scope(c)),
    ];

    private static string Behaviour(TaskBehaviour b)
    {
        var probability = b.Probability > Saturated
            ? $"Its probability is {Percent(b.Probability)} on average: near 1 it moves little, and would hide what the logits show"
            : $"Its probability is {Percent(b.Probability)} on average, which is not linear in what components write, and hides those that act early";
        var accuracy = b.Accuracy == 1
            ? "Accuracy is at its end: it cannot show what helps further, and of damage only what turns an answer over"
            : "Accuracy counts prompts, so it shows no damage that turns no answer over";
        return $"The answer is preferred to the other name on {Percent(b.Accuracy)} of {b.Clean.Count} prompts, by {Text(b.Mean)} logits on average " +
            $"(standard error {Text(b.StandardError)}), and is the likeliest token of all on {Percent(b.First)}. With the answer swapped the difference is " +
            $"{Text(b.Swapped.Average())}, with unrelated names {Text(b.Unrelated.Average())}. {probability}. {accuracy}. So effects here are shares of the " +
            "logit difference; what raises both names alike does not show in it.";
    }

    private static string Circuit(IndirectObjectCircuit c)
    {
        var (all, found) = (c.Ranking.Count, c.Found);
        var recovers = found.Performance.Recovered >= c.Options.Recovered
            ? $"{(found.Heads.Count == 1 ? $"The head with the largest effect of all {all}" : $"The {found.Heads.Count} of {all} heads with the largest effects")}" +
              $", with all MLPs: this recovers {Percent(found.Performance.Recovered)} of the logit difference while all else is mean-ablated"
            : $"No circuit recovers the {Percent(c.Options.Recovered)} asked for; with all heads it is {Percent(found.Performance.Recovered)}";
        var edges = c.EdgeCurve.FirstOrDefault(p => p.Recovered >= c.Options.Recovered);
        var mlps = c.NodeCurve[0];
        return $"{recovers}; with its heads ablated and all else left, MLPs too, {Percent(found.Performance.RecoveredOutside!.Value)} is left. MLPs without any head " +
            $"recover {Percent(mlps.Recovered)}. {(edges is null ? "Of edges all are needed." : $"Ranked one by one, {edges.Edges:N0} of {c.Graph.EdgeCount:N0} edges " +
            $"({Percent((double)edges.Edges / c.Graph.EdgeCount)}) recover {Percent(edges.Recovered)}.")} The answer is written by {Names(c.Movers)}" +
            $"{(c.Feeders.Count == 0 ? "" : $"; what those look for and copy comes most of all from {Names(c.Feeders)}")}.";
    }

    private static string Directions(IndirectObjectCircuit c)
    {
        // Prompts with both names as the answer are their own swapped ones in another order: both directions are then one experiment.
        var isOne = c.Sweeps[0].Restored.Zip(c.Sweeps[0].Lost).All(e => Math.Abs(e.First - e.Second) < Idle / 10);
        var sweep = isOne ? c.Sweeps[1] : c.Sweeps[0];
        var heads = c.Graph.Config.HeadCount;
        IEnumerable<string> Where(Func<double, double, bool> holds, Func<double, double, double> by) =>
            Enumerable.Range(0, sweep.Restored.Count).Where(i => holds(sweep.Restored[i], sweep.Lost[i]))
                .OrderByDescending(i => by(sweep.Restored[i], sweep.Lost[i])).Take(Named)
                .Select(i => $"{i / heads}.{i % heads} ({Percent(sweep.Restored[i])} and {Percent(sweep.Lost[i])})");
        var share = c.Options.Share;
        var both = Where((r, l) => r >= share && l >= share && r < 2 * l && l < 2 * r, (r, l) => r + l).ToList();
        var backed = Where((r, l) => r >= share && l <= r / 2, (r, l) => r - l).ToList();
        var joint = Where((r, l) => l >= share && r <= l / 2, (r, l) => l - r).ToList();
        var most = sweep.Restored.Max();
        var corrupted = isOne
            ? "With the answer swapped both directions give the same numbers, as these prompts are among the clean ones: that shows nothing about heads. " +
              "In brackets what a head's clean output restores where all names are unrelated, and what its output there takes away. "
            : "In brackets what a head's clean output restores of the swapped answer, and what its corrupted output takes away. ";
        return corrupted +
            Sentence("About as sufficient as necessary", both) +
            Sentence("Restore more than is lost without them, as one input of an OR does that another can stand in for (or as where later components make up for the loss)", backed) +
            Sentence("Are needed more than they suffice, as one input of an AND is", joint) +
            $"No single head restores more than {Percent(most)}: {(most < 0.5 ? "the behaviour is shared among heads" : "one head carries most of it")}. Shares of heads in " +
            "series count the same signal again, so they need not sum to 1.";
    }

    private static string Negative(IndirectObjectCircuit c)
    {
        var against = c.Direct.Heads.Where(x => x < 0).Sum();
        var peak = c.NodeCurve.MaxBy(p => p.Recovered)!;
        var text = $"Heads that write towards the other name add up to {Text(against)} logits; those that write towards the answer to " +
            $"{Text(c.Direct.Heads.Where(x => x > 0).Sum())}. " +
            (c.NegativeMovers.Count == 0
                ? $"No head takes {Percent(c.Options.Share)} of the difference away by its direct path to the logits. "
                : $"By their direct paths to the logits {Names(c.NegativeMovers)} work against the answer. ");
        return text + (peak.Recovered > 1.02
            ? $"A part of the heads can do better than all of them: the curve reaches {Percent(peak.Recovered)} with {c.Heads(peak)} heads. A share " +
              "near 100% therefore does not say that a circuit is whole."
            : "No circuit of the curve does better than the model by more than 2%.");
    }

    private static string Repair(IndirectObjectCircuit c)
    {
        var r = c.Repair;
        var verdict = r.Repaired switch
        {
            > 0.1 => $"Later components make {Percent(r.Repaired)} of the loss good, so what patching one head shows is less than what it does",
            < -0.1 => $"The loss is {Percent(-r.Repaired)} larger than that: later components build on what the movers write",
            _ => "Later components hardly make it good",
        };
        var gained = string.Join(", ", r.Backups.Take(4).Where(b => b.Gain > 0).Select(b => $"{Short(b.Head)} ({Percent(b.Gain)})"));
        return $"Without what {Names(c.Movers)} write at the last position {Percent(r.Predicted)} of the logit difference should go, if all behind them kept its value; " +
            $"in truth {Percent(r.Actual)} goes. {verdict}. Most is gained then by {(gained.Length > 0 ? gained : "no head")}; " +
            "the final norm is recomputed in all of these, so they hold its rescaling too; MLPs and other heads are not listed.";
    }

    private static string Completeness(IndirectObjectCircuit c)
    {
        var found = c.Found;
        var scale = found.Performance.Whole - found.Performance.None;
        var worst = found.Knockouts.MaxBy(k => k.Knockout.Incompleteness);
        var idle = found.Minimality.Where(m => m.Change < Idle).Select(m => m.Node).ToList();
        var off = worst.Knockout.Incompleteness / scale;
        return $"Taking the same heads from circuit and model, the two differ most for {worst.Name}: by {Percent(off)} of the logit difference" +
            $"{(off > 0.2 ? worst.Knockout.Model > worst.Knockout.Circuit
                    ? ", so heads outside the circuit do part of the work when those inside are gone: it is not complete. "
                    : ", so heads outside the circuit work against the answer when those inside are gone: it is not complete. "
                : ": what is outside hardly matters even then. ")}" +
            (idle.Count == 0 ? $"Each head in it moves the difference by {Percent(Idle)} or more when it alone is left out."
                : $"{idle.Count} of its heads move the difference by less than {Percent(Idle)} when they alone are left out ({Names(idle.Take(Named))}" +
                  $"{(idle.Count > Named ? ", ..." : "")}): idle, or backed up by others in it; the circuit is not claimed to be the smallest.");
    }

    private static string Estimates(IndirectObjectCircuit c)
    {
        var good = c.Agreements.Where(a => a.Correlation > Trusted).ToList();
        var bad = c.Agreements.Except(good).ToList();
        string Each(IEnumerable<Agreement> of) => string.Join(", ", of.Select(a => $"{a.Site} ({Text(a.Correlation)})"));
        return "Attribution patching, one pass for all heads, correlates with patching them one by one over heads: " +
            (good.Count > 0 ? $"well for {Each(good)}" : "") + (good.Count > 0 && bad.Count > 0 ? "; " : "") +
            (bad.Count > 0 ? $"less for {Each(bad)}" : "") +
            (bad.Any(a => a.Site is "q" or "k") ? " (for q and k a saturated softmax, which has no slope, is a known cause)" : "") +
            ". Edges are ranked by such estimates (integrated along the embedding), so single weights of the drawing are estimates; what a set of edges recovers is measured.";
    }

    private static string Scope(IndirectObjectCircuit c) =>
        $"All this holds for {c.Prompts.References.Count} sentences with {c.Prompts.Task.Clean.Count} prompts, and for the two corruptions. Heads are taken at all positions at once. " +
        "Swapping the answer changes the name that comes again, and leaves earlier names alone: components that only recognise names or their order do not show there; " +
        "unrelated names change all of it. MLPs are kept whole. Norms are recomputed, so that a change anywhere rescales the rest a little.";

    private static string Sentence(string what, List<string> heads) => heads.Count == 0 ? "" : $"{what}: {string.Join(", ", heads)}. ";

    private static string Names(IEnumerable<Sender> heads) => string.Join(", ", heads.Select(Short)) is { Length: > 0 } names ? names : "no head";

    internal static string Short(Sender s) => s.Kind == SenderKind.Head ? $"{s.Layer}.{s.Index}" : s.Name;

    internal static string Percent(double share) => (100 * share).ToString(Math.Abs(share) < 0.0995 ? "0.#" : "0", CultureInfo.InvariantCulture) + "%";

    internal static string Text(double value) => value.ToString("0.00", CultureInfo.InvariantCulture);
}
