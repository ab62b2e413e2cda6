using InteropInterp.Heads;
using InteropInterp.Plans;
using InteropInterp.Studies.IndirectObjects;

namespace InteropInterp.Studies;

/// <summary>What there is to see in any language model in a minute or two: does it copy, and does it know who is meant.</summary>
public static class ModelStudy
{
    // As many patterns as can be looked at side by side.
    private const int MaxPatterns = 12;

    /// <exception cref="InterpException">STUDY_NOT_APPLICABLE; CANCELLED between two passes.</exception>
    public static ModelStudyResult Run(
        HookedTransformer model, InductionStudyOptions? options = null, Action<StudyProgress>? progress = null,
        CancellationToken cancellation = default)
    {
        options ??= new InductionStudyOptions();
        var induction = InductionStudy.Run(model, options, progress, cancellation);
        var patterns = HeadPattern.Of(model, new Row(induction.Example), Shown(induction.Scores), cancellation);
        var (circuit, noCircuit) = Circuit(model, options, progress, cancellation);
        var (task, result, absence) = IndirectObject(model, progress, cancellation);
        return new ModelStudyResult
        {
            Model = model.Config.ModelName,
            Induction = induction,
            ExampleTokens = [.. induction.Example.Select(id => TokenText(model, id))],
            Patterns = patterns,
            Circuit = circuit,
            WhyNoCircuit = noCircuit,
            Task = task,
            IndirectObject = result,
            WhyNoIndirectObject = absence,
        };
    }

    private static (InductionCircuit?, string?) Circuit(
        HookedTransformer model, InductionStudyOptions options, Action<StudyProgress>? progress, CancellationToken cancellation)
    {
        try
        {
            return (InductionCircuit.Find(model, new RandomTokens(model, options), options, progress, cancellation), null);
        }
        catch (InterpException e) when (e.Reason == "ATTRIBUTION_TOO_LARGE")
        {
            return (null, e.Message);
        }
    }

    private static (IndirectObjectTask?, IndirectObjectResult?, string?) IndirectObject(
        HookedTransformer model, Action<StudyProgress>? progress, CancellationToken cancellation)
    {
        if (!model.HasTokenizer) return (null, null, "The model has no tokenizer.");
        if (IndirectObjectTask.For(model.Tokenizer) is not { } task)
            return (null, null, "Its tokenizer does not have the names as single tokens.");
        if (task.Clean[0].Length > model.Config.ContextLength) return (null, null, "Its context is shorter than the sentences.");
        try
        {
            return (task, IndirectObjectStudy.Run(model, task, progress: progress, cancellation: cancellation), null);
        }
        catch (InterpException e) when (e.Reason == "TASK_NOT_SOLVED")
        {
            return (null, null, $"The model does not solve the task. {e.Message}");
        }
    }

    // All heads of a small model; of a large one the best of each kind.
    private static IReadOnlyList<(int, int)> Shown(HeadScores scores)
    {
        if (scores.Layers * scores.Heads <= MaxPatterns)
            return [.. Enumerable.Range(0, scores.Layers * scores.Heads).Select(i => (i / scores.Heads, i % scores.Heads))];
        return [.. new[] { scores.Induction, scores.PreviousToken, scores.DuplicateToken }
            .SelectMany(kind => scores.Ranked(kind).Take(MaxPatterns / 3)).Select(h => (h.Layer, h.Head)).Distinct()];
    }

    private static string TokenText(HookedTransformer model, int id) => model.HasTokenizer ? model.Tokenizer.ToSingleStrToken(id) : $"{id}";
}
