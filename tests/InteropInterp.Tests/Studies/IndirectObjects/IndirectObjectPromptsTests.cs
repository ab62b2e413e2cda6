using InteropInterp.Studies.IndirectObjects;
using InteropInterp.Tokens;

namespace InteropInterp.Tests.Studies.IndirectObjects;

public class IndirectObjectPromptsTests
{
    private static ModelTokenizer Tokenizer => new(TokenizerLoader.FromFolder(SharedFolder.Path("models", "07_tokenizers")));

    [Fact]
    public void Names_stand_at_the_same_places_in_both_orders_and_each_is_the_answer()
    {
        var tokenizer = Tokenizer;
        var prompts = IndirectObjectPrompts.For(tokenizer, 24, seed: 3);
        var (first, second, again) = prompts.NamesAt;
        Assert.Equal(24, prompts.Task.Clean.Count);
        for (var i = 0; i < 24; i++)
        {
            var (clean, swapped, unrelated) = (prompts.Task.Clean[i].Tokens, prompts.Task.Corrupt[i].Tokens, prompts.Unrelated[i].Tokens);
            var (answer, other) = (prompts.Task.Correct[i], prompts.Task.Incorrect[i]);
            Assert.Equal((answer, other, other), (clean[prompts.Places[i].Answer], clean[prompts.Places[i].Other], clean[again]));
            Assert.Equal([again], Enumerable.Range(0, clean.Count).Where(p => clean[p] != swapped[p]));
            Assert.Equal(answer, swapped[again]);
            // Nothing but the names is another, and none of the three stands in the prompt.
            Assert.Equal([first, second, again], Enumerable.Range(0, clean.Count).Where(p => clean[p] != unrelated[p]).Order());
            Assert.Equal(5, new[] { answer, other, unrelated[first], unrelated[second], unrelated[again] }.Distinct().Count());
            Assert.Equal(prompts.Task.Clean[0].Length, clean.Count);
        }
        // Of each four: both orders, each name twice.
        foreach (var four in Enumerable.Range(0, 24).Chunk(4))
        {
            Assert.Equal(2, four.Select(i => prompts.Task.Correct[i]).Distinct().Count());
            Assert.Equal(4, four.Select(i => (prompts.Task.Correct[i], prompts.Places[i])).Distinct().Count());
            Assert.Single(four.Select(i => prompts.Sentence[i]).Distinct());
        }
        Assert.True(prompts.Sentence.Distinct().Count() >= 4, "several sentences");
        Assert.Equal(prompts.Sentence.Distinct().Count(), prompts.References.Count);
        foreach (var row in prompts.References.SelectMany(r => r)) Assert.Equal(3, new[] { row.Tokens[first], row.Tokens[second], row.Tokens[again] }.Distinct().Count());
    }

    [Fact]
    public void The_seed_decides_the_names()
    {
        int[] Tokens(ulong seed) => [.. IndirectObjectPrompts.For(Tokenizer, 8, seed).Task.Clean.SelectMany(r => r.Tokens)];
        Assert.Equal(Tokens(1), Tokens(1));
        Assert.NotEqual(Tokens(1), Tokens(2));
    }

    [Fact]
    public void What_cannot_be_made_is_refused()
    {
        using var model = HookedTransformer.FromPretrained("induction");
        Assert.Equal("STUDY_NOT_APPLICABLE", Assert.Throws<InterpException>(() => IndirectObjectPrompts.For(model.Tokenizer)).Reason);
        foreach (var count in new[] { 0, 6, 404 })
            Assert.Contains($"{count} prompts", Assert.Throws<InterpException>(() => IndirectObjectPrompts.For(model.Tokenizer, count)).Message);
    }
}
