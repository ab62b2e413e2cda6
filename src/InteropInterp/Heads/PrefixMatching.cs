using InteropInterp.Models;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using static TorchSharp.torch;

namespace InteropInterp.Heads;

/// <summary>
/// The prefix-matching score of Olsson et al. 2022 ("In-context Learning and Induction Heads"): on a segment of random tokens
/// that stands several times behind a start token, the mean attention from a token to all places right behind its earlier copies.
/// Theirs are 25 tokens four times.
/// </summary>
public static class PrefixMatching
{
    /// <param name="segments">Of equal length, one per row.</param>
    /// <param name="start">The token in front; null: none.</param>
    /// <returns>[layer][head], 0 to 1.</returns>
    /// <exception cref="InterpException">INVALID_OPTION; what the plan is refused for; CANCELLED.</exception>
    public static double[][] Measure(
        TransformerModel model, IReadOnlyList<int[]> segments, int? start, int repeats = 4, ExecutionOptions? options = null,
        CancellationToken cancellation = default)
    {
        var isEven = segments.Count > 0 && segments.All(s => s.Length == segments[0].Length && s.Length > 1);
        InterpException.Require(isEven && repeats > 1, "INVALID_OPTION",
            $"{segments.Count} segments, {repeats} times each: at least one of two or more tokens, at least twice, all of one length, are needed.");
        var (period, first) = (segments[0].Length, start is null ? 0 : 1);
        int[] front = start is { } id ? [id] : [];
        IReadOnlyList<Row> rows = [.. segments.Select(s => new Row([.. front, .. Enumerable.Repeat(s, repeats).SelectMany(t => t)]))];
        var means = new DiagonalMeans([.. Enumerable.Range(1, repeats - 1).Select(copies => (copies * period - 1, first + copies * period))]);
        using var run = PlanRunner.Run(
            model, new Plan { Rows = rows, Captures = [new Capture("blocks.*.attn.hook_pattern") { Transform = means }] }, options, cancellation);
        using var scope = NewDisposeScope();
        // A diagonal further back belongs to fewer positions.
        var weights = tensor(Enumerable.Range(1, repeats - 1).Select(copies => (repeats - copies) / (repeats - 1.0)).ToArray(), device: CPU);
        double[] Of(Tensor diagonals) => (diagonals.to(ScalarType.Float64).cpu() * weights).sum(-1).mean([0]).data<double>().ToArray();
        return [.. Enumerable.Range(0, model.Config.LayerCount).Select(l => Of(run[$"blocks.{l}.attn.hook_pattern.{means.Suffix}"]))];
    }
}
