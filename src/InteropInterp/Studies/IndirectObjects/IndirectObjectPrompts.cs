using InteropInterp.Plans;
using InteropInterp.Randomness;
using InteropInterp.Tokens;

namespace InteropInterp.Studies.IndirectObjects;

/// <summary>
/// Prompts for finding a circuit (Wang et al. 2022, section 2): several sentences, each with the names in both orders and with each of
/// the two as the answer, beside the same sentences with the answer swapped and with three unrelated names. Names stand at the same
/// positions in all rows.
/// </summary>
public sealed record IndirectObjectPrompts
{
    // A sentence, a pair of names: two orders, and each of the two is the answer once.
    private const int PerPair = 4, MostPrompts = 400, ReferencesPerSentence = 24;

    private static readonly string[] Sentences =
    [
        "After{0} and{1} came out of the station,{2} handed the ticket to",
        "When{0} and{1} went back to the store,{2} gave the money to",
        "While{0} and{1} sat down in the garden,{2} passed the book to",
        "After{0} and{1} met again at the office,{2} gave the letter to",
        "When{0} and{1} walked together to the school,{2} handed the ball to",
        "While{0} and{1} stayed late at the house,{2} sent the message to",
    ];

    /// <summary>The prompts; its corrupted rows swap the answer: only the name that comes again is another.</summary>
    public required IndirectObjectTask Task { get; init; }

    /// <summary>Row by row the same sentence with three names that do not stand in it (the paper's ABC).</summary>
    public required IReadOnlyList<Row> Unrelated { get; init; }

    /// <summary>Per row, which of the sentences it is.</summary>
    public required IReadOnlyList<int> Sentence { get; init; }

    /// <summary>Per sentence, rows with three different names: what a component does when it knows the sentence and no more.</summary>
    public required IReadOnlyList<IReadOnlyList<Row>> References { get; init; }

    /// <summary>The positions of the first two names and of the one that comes again.</summary>
    public required (int First, int Second, int Again) NamesAt { get; init; }

    /// <summary>Per row, where the answer (the indirect object) stands, and where the other name stands first.</summary>
    public IReadOnlyList<(int Answer, int Other)> Places => [.. Task.Clean.Select((row, i) =>
        row.Tokens[NamesAt.First] == Task.Correct[i] ? (NamesAt.First, NamesAt.Second) : (NamesAt.Second, NamesAt.First))];

    public Plan Clean => new() { Rows = Task.Clean };

    /// <summary>Makes prompts.</summary>
    /// <param name="count">How many; a multiple of four.</param>
    /// <param name="seed">The same seed draws the same names.</param>
    /// <exception cref="InterpException">INVALID_OPTION; STUDY_NOT_APPLICABLE where the tokenizer has too few of the names as single
    /// tokens.</exception>
    public static IndirectObjectPrompts For(ModelTokenizer tokenizer, int count = 16, ulong seed = 0)
    {
        InterpException.Require(count is >= PerPair and <= MostPrompts && count % PerPair == 0, "INVALID_OPTION",
            $"{count} prompts: a multiple of {PerPair} from {PerPair} to {MostPrompts} is expected (two orders of names, each the answer once).");
        var known = FirstNames.Known(tokenizer);
        if (known.Length < 5)
            throw InterpException.Precondition("STUDY_NOT_APPLICABLE",
                $"The tokenizer has {known.Length} of {FirstNames.All.Count} names as single tokens; 5 are needed for indirect objects.");
        int[] Tokens(string sentence, string first, string second, string again) =>
            tokenizer.ToTokens(string.Format(System.Globalization.CultureInfo.InvariantCulture, sentence, first, second, again));
        // Where three names stand in a sentence, and how long it is.
        (int First, int Second, int Again, int Length) Layout(string sentence)
        {
            var tokens = Tokens(sentence, known[0], known[1], known[2]);
            int At(int name) => Array.IndexOf(tokens, tokenizer.ToSingleToken(known[name]));
            return (At(0), At(1), At(2), tokens.Length);
        }
        var alike = Sentences.GroupBy(Layout).MaxBy(g => g.Count())!;
        string[] sentences = [.. alike];

        List<Row> clean = [], swapped = [], unrelated = [];
        List<int> correct = [], incorrect = [], sentence = [];
        for (var group = 0; group < count / PerPair; group++)
        {
            var (at, names) = (group % sentences.Length, Draw(known, seed, group, 2));
            for (var i = 0; i < PerPair; i++)
            {
                var (answer, other) = i % 2 == 0 ? (names[0], names[1]) : (names[1], names[0]);
                var (first, second) = i < 2 ? (answer, other) : (other, answer);
                var others = Draw([.. known.Except(names)], seed, (1L << 32) + group * PerPair + i, 3);
                clean.Add(new Row(Tokens(sentences[at], first, second, other)));
                swapped.Add(new Row(Tokens(sentences[at], first, second, answer)));
                unrelated.Add(new Row(Tokens(sentences[at], others[0], others[1], others[2])));
                correct.Add(tokenizer.ToSingleToken(answer));
                incorrect.Add(tokenizer.ToSingleToken(other));
                sentence.Add(at);
            }
        }
        return new IndirectObjectPrompts
        {
            Task = new IndirectObjectTask(clean, swapped, correct, incorrect),
            Unrelated = unrelated,
            Sentence = sentence,
            References =
            [
                .. Enumerable.Range(0, Math.Min(sentences.Length, count / PerPair)).Select(s => (IReadOnlyList<Row>)
                [
                    .. Enumerable.Range(0, ReferencesPerSentence).Select(i =>
                    {
                        var three = Draw(known, seed, (2L << 32) + s * ReferencesPerSentence + i, 3);
                        return new Row(Tokens(sentences[s], three[0], three[1], three[2]));
                    }),
                ]),
            ],
            NamesAt = (alike.Key.First, alike.Key.Second, alike.Key.Again),
        };
    }

    // Different names, each as likely.
    private static string[] Draw(string[] names, ulong seed, long row, int count)
    {
        var left = names.ToList();
        var draws = new CounterDraws(seed, row);
        var drawn = new string[count];
        for (var i = 0; i < count; i++)
        {
            var at = draws.Below(left.Count);
            drawn[i] = left[at];
            left.RemoveAt(at);
        }
        return drawn;
    }
}
