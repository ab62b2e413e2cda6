using InteropInterp.Heads;

namespace InteropInterp.Studies;

/// <summary>The random segments a model is studied on: which tokens may occur, how long they are, whether a BOS stands in front.</summary>
internal sealed class RandomTokens
{
    private const int ShortestPeriod = 4;
    private readonly IReadOnlyList<int> candidates;
    private readonly ulong seed;

    /// <exception cref="InterpException">STUDY_NOT_APPLICABLE: says what about the model rules it out.</exception>
    public RandomTokens(HookedTransformer model, InductionStudyOptions options)
    {
        var c = model.Config;
        Check(c.LayerCount > 0, "it has no layers");
        Check(c.IsCausal, "its attention is bidirectional, so it predicts no next token");
        Check(c.OutputVocabularySize == c.VocabularySize,
            $"it reads {c.VocabularySize} tokens and predicts {c.OutputVocabularySize}: not the next token");
        seed = options.Seed;
        Bos = model.HasTokenizer && model.Tokenizer.DefaultPrependBos ? model.Tokenizer.BosId : null;
        Period = Math.Min(options.Period, (c.ContextLength - (Bos is null ? 0 : 1)) / 2);
        Check(Period >= ShortestPeriod,
            $"its context of {c.ContextLength} tokens has no room for a segment of {ShortestPeriod} tokens twice");
        candidates = Candidates(model);
        Check(candidates.Count > Period, $"its vocabulary of {c.VocabularySize} is too small for random segments");
    }

    public int Period { get; }

    public int? Bos { get; }

    /// <summary>The cross-entropy of guessing, in nats.</summary>
    public double UniformLoss => Math.Log(candidates.Count);

    /// <summary>The segments that a letter stands for.</summary>
    public IReadOnlyList<int[]> Segments(char name, int count) =>
        RepeatedTokens.Segments(seed, (long)name << 32, count, Period, candidates);

    // In a large vocabulary the first and the last tokens are bytes, punctuation and rarities: TransformerLens's demo takes 1000 to 10000.
    private static IReadOnlyList<int> Candidates(HookedTransformer model)
    {
        var size = model.Config.VocabularySize;
        if (size > 10_000) return [.. Enumerable.Range(1000, 9000)];
        var special = model.HasTokenizer ? new[] { model.Tokenizer.BosId, model.Tokenizer.EosId, model.Tokenizer.PadId } : [];
        return [.. Enumerable.Range(0, size).Where(id => !special.Contains(id))];
    }

    private static void Check(bool condition, string reason)
    {
        if (!condition)
            throw InterpException.Precondition("STUDY_NOT_APPLICABLE", $"Repeated random tokens do not suit this model: {reason}.");
    }
}
