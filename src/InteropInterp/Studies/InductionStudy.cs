using InteropInterp.Heads;
using InteropInterp.Plans;
using static TorchSharp.torch;

namespace InteropInterp.Studies;

/// <summary>
/// Does a model copy, and with which heads? Its loss on random tokens that occur twice against random tokens that do not
/// (Olsson et al. 2022), the scores of its heads there, and which part of attention carries the copying
/// (<see cref="InductionPatching"/>).
/// </summary>
public static class InductionStudy
{
    /// <exception cref="InterpException">STUDY_NOT_APPLICABLE; CANCELLED between two passes.</exception>
    public static InductionStudyResult Run(
        HookedTransformer model, InductionStudyOptions? options = null, Action<StudyProgress>? progress = null,
        CancellationToken cancellation = default)
    {
        options ??= new InductionStudyOptions();
        var random = new RandomTokens(model, options);
        var (first, other) = (random.Segments('A', options.Rows), random.Segments('B', options.Rows));
        var repeated = RepeatedTokens.Of(first, random.Bos);

        progress?.Invoke(new StudyProgress("loss", 0, 3));
        var repeatedLoss = LossByToken(model, repeated.Rows, cancellation);
        progress?.Invoke(new StudyProgress("loss", 1, 3));
        var randomLoss = LossByToken(model, RepeatedTokens.Join(first, other, random.Bos), cancellation);
        progress?.Invoke(new StudyProgress("head scores", 2, 3));
        var scores = HeadScores.Measure(model.Model, repeated, model.Options, cancellation);
        progress?.Invoke(new StudyProgress("head scores", 3, 3));

        // Loss i is that of token i + 1. What follows the first segment cannot be known to be its repetition.
        var end = repeated.Start + repeated.Period;
        return new InductionStudyResult
        {
            Rows = options.Rows,
            Period = random.Period,
            UniformLoss = random.UniformLoss,
            FirstLoss = repeatedLoss[Math.Max(0, repeated.Start - 1)..(end - 1)].Average(),
            RepeatLoss = repeatedLoss[end..].Average(),
            RandomLoss = randomLoss[end..].Average(),
            RepeatedLossByToken = repeatedLoss,
            RandomLossByToken = randomLoss,
            Scores = scores,
            Example = repeated.Rows[0].Tokens,
            Patching = InductionPatching.Run(model, random, scores, options, progress, cancellation),
        };
    }

    // The mean over rows for each token but the first.
    private static double[] LossByToken(HookedTransformer model, IReadOnlyList<Row> rows, CancellationToken cancellation)
    {
        using var run = model.Run(new Plan { Rows = rows, Outputs = new Outputs { LossPerToken = true } }, cancellation);
        using var scope = NewDisposeScope();
        return run.LossPerToken!.to(ScalarType.Float64).mean([0]).cpu().data<double>().ToArray();
    }
}
