using InteropInterp.Plans;
using InteropInterp.Plans.Metrics;
using InteropInterp.Tokens;

namespace InteropInterp.Studies.IndirectObjects;

/// <summary>
/// Indirect-object identification (Wang et al. 2022): two names, one of them again, and the sentence wants the other. Clean and
/// corrupted prompts differ in which name comes again, so the answers change places.
/// </summary>
/// <param name="Clean">Prompts, tokenized.</param>
/// <param name="Corrupt">The same with the other name the second time; as long, row by row.</param>
/// <param name="Correct">Per row, the token that the clean prompt wants.</param>
/// <param name="Incorrect">Per row, the other name.</param>
public sealed record IndirectObjectTask(
    IReadOnlyList<Row> Clean, IReadOnlyList<Row> Corrupt, IReadOnlyList<int> Correct, IReadOnlyList<int> Incorrect)
{
    private const int Pairs = 4;

    /// <summary>logit(correct) - logit(incorrect) behind the prompt; below 0 where the model names the wrong one.</summary>
    public Metric Metric => new LogitDiff(Correct, Incorrect);

    /// <summary>
    /// Eight prompts, four pairs of names with each of the two as the answer; null where the tokenizer has no eight of the names
    /// as single tokens.
    /// </summary>
    public static IndirectObjectTask? For(ModelTokenizer tokenizer)
    {
        var known = FirstNames.Known(tokenizer);
        if (known.Length < 2 * Pairs) return null;
        var pairs = Enumerable.Range(0, Pairs)
            .SelectMany(i => new[] { (known[2 * i], known[2 * i + 1]), (known[2 * i + 1], known[2 * i]) });
        // The names keep their places; (a, b): b comes again and a is the answer.
        var sentences = pairs.Select((pair, i) => (
            Answer: pair.Item1, Other: pair.Item2,
            First: i % 2 == 0 ? pair.Item1 : pair.Item2, Second: i % 2 == 0 ? pair.Item2 : pair.Item1)).ToList();
        Row Prompt(string first, string second, string again) => new(tokenizer.ToTokens(
            $"After{first} and{second} came out of the station,{again} handed the ticket to"));
        return new IndirectObjectTask(
            [.. sentences.Select(s => Prompt(s.First, s.Second, s.Other))],
            [.. sentences.Select(s => Prompt(s.First, s.Second, s.Answer))],
            [.. sentences.Select(s => tokenizer.ToSingleToken(s.Answer))],
            [.. sentences.Select(s => tokenizer.ToSingleToken(s.Other))]);
    }
}
