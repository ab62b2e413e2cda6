using System.Globalization;
using InteropInterp.Circuits;
using InteropInterp.Heads;
using InteropInterp.Models;
using InteropInterp.Studies;
using InteropInterp.Studies.IndirectObjects;

namespace InteropInterp.Reports;

/// <summary>A model study as a page.</summary>
public static class StudyReport
{
    /// <param name="prompts">The text of each clean prompt of the indirect-object task; empty where there is none.</param>
    public static ReportPage Page(ModelStudyResult study, TransformerConfig config, IReadOnlyList<string> prompts)
    {
        var induction = study.Induction;
        var indirect = study.IndirectObject is { } result
            ? IndirectObject(result, prompts)
            : new ReportSection("Indirect objects", $"Not shown for this model: {study.WhyNoIndirectObject}");
        return new ReportPage(
            $"Inside {study.Model}",
            $"{config.LayerCount} layers of {config.HeadCount} heads of width {config.HeadWidth}, d_model {config.ModelWidth}, " +
            $"{(config.AttentionOnly ? "attention only" : $"d_mlp {config.MlpWidth}")}, vocabulary {config.VocabularySize:N0}, " +
            $"context {config.ContextLength:N0}.",
            [Losses(induction), Scores(induction.Scores), Patterns(study), Patching(induction.Patching), Circuit(study), indirect]);
    }

    private static ReportSection Losses(InductionStudyResult r) => new(
        "Does it copy?",
        $"{r.Rows} rows of {r.Period} random tokens that come twice. The second time the loss is {Text(r.RepeatLoss)} nats per token; " +
        $"with other random tokens in the same place it is {Text(r.RandomLoss)} (guessing: {Text(r.UniformLoss)}).",
        new LineChart("Loss by token of the row", "token", "nats",
            [new ChartLine("repeated", r.RepeatedLossByToken), new ChartLine("not repeated", r.RandomLossByToken)]) { FirstX = 1 },
        new DataTable(
            "Mean loss, nats per token",
            ["where", "loss"],
            [
                ["first occurrence", Text(r.FirstLoss)],
                ["second occurrence", Text(r.RepeatLoss)],
                ["not repeated", Text(r.RandomLoss)],
                ["guessing", Text(r.UniformLoss)],
            ]));

    private static ReportSection Scores(HeadScores scores) => new(
        "What its heads attend to",
        "The mean attention on those rows: from each token to the one before (previous token), to the same token one period earlier " +
        "(duplicate token), and to what followed the same token then (induction).",
        Map("Previous token", scores.PreviousToken, Layers(scores), scores.Heads, ColorScale.Unit),
        Map("Duplicate token", scores.DuplicateToken, Layers(scores), scores.Heads, ColorScale.Unit),
        Map("Induction", scores.Induction, Layers(scores), scores.Heads, ColorScale.Unit));

    private static ReportSection Patterns(ModelStudyResult study)
    {
        var scores = study.Induction.Scores;
        // What a head does most.
        string Label(HeadPattern p)
        {
            var i = p.Layer * scores.Heads + p.Head;
            (string Name, double Score)[] kinds =
                [("previous", scores.PreviousToken[i]), ("duplicate", scores.DuplicateToken[i]), ("induction", scores.Induction[i])];
            var (kind, score) = kinds.MaxBy(k => k.Score);
            return $"{p.Layer}.{p.Head}: {kind} {Text(score)}";
        }
        return new ReportSection("Attention patterns", "Heads by layer.head on one of the rows, each with its highest score.",
            new AttentionPatterns("The row's tokens", study.ExampleTokens,
                [.. study.Patterns.Select(p => new AttentionPattern(Label(p), p.Values))]));
    }

    private static ReportSection Patching(InductionPatchingResult r)
    {
        var parts = InductionPatching.Parts;
        var rows = r.Corruptions.Select(c => c.Name).ToList();
        Heatmap Table(string title, Func<CorruptionEffect, int, double> patched) => new(
            title,
            [.. r.Corruptions.SelectMany(c => parts.Select((_, part) => r.Restored(c, patched(c, part))))],
            [.. r.Corruptions.Select(c => $"{c.Name} ({Text(c.Baseline)})")], parts)
        {
            Scale = ColorScale.Unit,
            Texts = [.. r.Corruptions.SelectMany(c => parts.Select((_, part) => Text(patched(c, part))))],
            RowName = "restored in",
        };
        return new ReportSection(
            $"What carries the copying in layer {r.Layer}",
            $"Rows of two segments: AA is clean, with a mean log-probability of A's tokens in second place of {Text(r.Clean)}. In a " +
            "corrupted row (its value in brackets) one part of the layer's attention is taken from the clean run; a cell is the value " +
            "then, and its colour the share restored. q or the pattern can restore AB: keys and values are right there, the query " +
            "decides. v can restore BB, where only what is copied is wrong. Elsewhere only the output z can. Heads share the work, " +
            "and so do layers in a deep model: each alone restores a part.",
            [Table("All heads of the layer together", (c, part) => c.AllHeads[part]),
             .. r.Heads.Select((head, i) => Table($"Head {r.Layer}.{head} alone", (c, part) => c.SingleHeads[part][i]))]);
    }

    private static ReportSection Circuit(ModelStudyResult study)
    {
        const string Title = "Who hands it on to whom";
        if (study.Circuit is not { } c) return new ReportSection(Title, $"Not shown for this model: {study.WhyNoCircuit}");
        var (graph, p) = (c.Edges.Graph, c.Performance);
        var what = "What each edge adds to the log-probability of the repeated segment's last token, between rows AA and BA (EAP-IG). ";
        var ranked = c.Ranked;
        if (ranked.Count == 0) return new ReportSection(Title, what + "No edges that add anything lead from the tokens to the logits.");
        return new ReportSection(
            Title,
            $"{what}Of the {c.Considered} strongest of {graph.EdgeCount} edges {ranked.Count} lead from the tokens to the logits, and are drawn. Alone, with " +
            $"all others as on BA, they keep {Text(p.Recovered)} of what separates the two ({Text(p.Whole)} and {Text(p.None)}). The scores are first-order " +
            "estimates: where heads stand in for each other, or attention is saturated, an edge may matter more or less than its score. Outlined are " +
            "heads that attend to the token before, or to what followed, with at least half of their attention.",
            new CircuitGraph(CircuitGraph.Legend, graph,
                ranked) { Marked = Attentive(study.Induction.Scores) },
            new DataTable("The same edges", ["edge", "nats"],
                [.. ranked.Select(e => (IReadOnlyList<string>)[graph.NameOf(e.Sender, e.Receiver), Text(e.Score)])]));
    }

    private static IReadOnlyList<Sender> Attentive(HeadScores scores) =>
        [.. Enumerable.Range(0, scores.Layers * scores.Heads).Where(i => scores.PreviousToken[i] >= 0.5 || scores.Induction[i] >= 0.5)
            .Select(i => Sender.Head(i / scores.Heads, i % scores.Heads))];

    private static ReportSection IndirectObject(IndirectObjectResult r, IReadOnlyList<string> prompts)
    {
        var top = r.Ranked().Take(6).ToList();
        return new ReportSection(
            "Indirect objects",
            $"Two names, one of them again: the sentence wants the other. It solves {r.Accuracy:P0} of the prompts. The output of one " +
            "head at a time is taken from the run in which the right name is wanted into the one in which the wrong one is; 1 moves the " +
            $"whole answer. The heads that move it most: {string.Join(", ", top.Select(h => $"{h.Layer}.{h.Head} ({Text(h.Restored)})"))}.",
            Map("Share of the logit difference restored", r.Restored, r.Layers, r.Heads, ColorScale.Of(r.Restored)),
            new DataTable("Prompts and logit differences", ["prompt", "clean", "corrupted"],
                [.. prompts.Select((prompt, i) => (IReadOnlyList<string>)[prompt, Text(r.CleanByPrompt[i]), Text(r.CorruptByPrompt[i])])]));
    }

    private static IReadOnlyList<int> Layers(HeadScores scores) => [.. Enumerable.Range(0, scores.Layers)];

    private static Heatmap Map(string title, IReadOnlyList<double> values, IReadOnlyList<int> layers, int heads, ColorScale scale) => new(
        title, values, [.. layers.Select(l => $"L{l}")], [.. Enumerable.Range(0, heads).Select(h => $"H{h}")])
    {
        Scale = scale, Texts = values.Count <= 32 ? [.. values.Select(Text)] : null,
    };

    private static string Text(double value) => double.IsFinite(value) ? value.ToString("0.000", CultureInfo.InvariantCulture) : "nan";
}
