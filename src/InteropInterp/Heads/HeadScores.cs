using InteropInterp.Models;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using static TorchSharp.torch;

namespace InteropInterp.Heads;

/// <summary>
/// What heads do on repeated random tokens, each as the mean attention along one diagonal of the pattern, over all rows (Elhage
/// et al. 2021; Olsson et al. 2022). All are between 0 and 1.
/// </summary>
/// <remarks>
/// Duplicate and induction scores are over the tokens of the second occurrence. TransformerLens's demos average the whole
/// diagonal, with the one or two entries above it that mean nothing of the kind: a few hundredths lower.
/// </remarks>
/// <param name="Layers">How many there are.</param>
/// <param name="Heads">Per layer.</param>
/// <param name="PreviousToken">[layer · Heads + head]: attention to the position before.</param>
/// <param name="DuplicateToken">To the same token one period before.</param>
/// <param name="Induction">To the token that followed the same token one period before.</param>
public sealed record HeadScores(
    int Layers, int Heads, IReadOnlyList<double> PreviousToken, IReadOnlyList<double> DuplicateToken, IReadOnlyList<double> Induction)
{
    /// <summary>The heads of a model, best first by one of the scores.</summary>
    public IEnumerable<(int Layer, int Head, double Score)> Ranked(IReadOnlyList<double> scores) =>
        scores.Select((score, i) => (i / Heads, i % Heads, score)).OrderByDescending(x => x.score);

    /// <summary>Runs the rows once.</summary>
    public static HeadScores Measure(
        TransformerModel model, RepeatedTokens repeated, ExecutionOptions? options = null, CancellationToken cancellation = default)
    {
        var second = repeated.Start + repeated.Period;
        var means = new DiagonalMeans((1, 1), (repeated.Period, second), (repeated.Period - 1, second));
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = repeated.Rows,
            Captures = [new Capture("blocks.*.attn.hook_pattern") { Transform = means }],
        }, options, cancellation);
        using var scope = NewDisposeScope();
        var (layers, heads) = (model.Config.LayerCount, model.Config.HeadCount);
        // [layers, rows, heads, diagonals] -> [diagonals, layers, heads].
        var all = stack([.. Enumerable.Range(0, layers).Select(l => run[$"blocks.{l}.attn.hook_pattern.{means.Suffix}"])], 0)
            .to(ScalarType.Float64).mean([1]).permute(2, 0, 1).cpu().contiguous();
        double[] Of(int diagonal) => all.select(0, diagonal).contiguous().data<double>().ToArray();
        return new HeadScores(layers, heads, Of(0), Of(1), Of(2));
    }
}
