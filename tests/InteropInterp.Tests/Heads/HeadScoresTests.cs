using System.Text.Json;
using InteropInterp.Heads;
using InteropInterp.Models;
using InteropInterp.Plans;

namespace InteropInterp.Tests.Heads;

public class HeadScoresTests
{
    [Fact]
    public void Scores_of_a_real_model_are_those_of_an_independent_forward_pass()
    {
        var folder = SharedFolder.Path("models", "04_induction_attn2L", "derived");
        using var golden = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "induction_head_infinite.golden.json")));
        double[] Numbers(string name) => [.. golden.RootElement.GetProperty(name).EnumerateArray().Select(x => x.GetDouble())];
        var rows = golden.RootElement.GetProperty("tokens").EnumerateArray()
            .Select(row => (int[])[.. row.EnumerateArray().Select(x => x.GetInt32())]).ToList();
        var repeated = RepeatedTokens.Of([.. rows.Select(r => r[..42])], bos: null);
        Assert.Equal(rows, repeated.Rows.Select(r => r.Tokens));

        using var model = ModelLoader.Load(Path.Combine(folder, "induction_head_infinite.safetensors"));
        var scores = HeadScores.Measure(model, repeated);
        AssertNear([.. Numbers("prev_token_score_L0"), .. Numbers("prev_token_score_L1")], scores.PreviousToken);
        AssertNear([.. Numbers("induction_score_L0"), .. Numbers("induction_score_L1")], scores.Induction);
        Assert.Equal((1, 2), scores.Ranked(scores.Induction).Select(h => (h.Layer, h.Head)).First());
    }

    [Fact]
    public void Heads_that_attend_evenly_have_the_scores_of_even_attention()
    {
        // Without queries every key scores the same: position i attends 1 / (i + 1) to each.
        using var model = ModelLoader.Random(new TransformerConfig
        {
            LayerCount = 1, ModelWidth = 8, HeadCount = 2, HeadWidth = 4, ContextLength = 16, VocabularySize = 20,
                AttentionOnly = true, InitializerRange = 0,
        });
        var scores = HeadScores.Measure(model, RepeatedTokens.Of([[1, 2, 3, 4, 5]], bos: 0));
        double Even(int from) => Enumerable.Range(from, 11 - from).Average(i => 1.0 / (i + 1));
        AssertNear([Even(1), Even(1)], scores.PreviousToken);
        AssertNear([Even(6), Even(6)], scores.DuplicateToken);
        AssertNear([Even(6), Even(6)], scores.Induction);
    }

    [Fact]
    public void Random_segments_are_reproducible_and_stand_behind_the_bos_twice()
    {
        var segments = RepeatedTokens.Segments(9, 0, 2, 4, [5, 6, 7]);
        Assert.Equal(segments, RepeatedTokens.Segments(9, 0, 2, 4, [5, 6, 7]));
        Assert.NotEqual(segments, RepeatedTokens.Segments(10, 0, 2, 4, [5, 6, 7]));
        Assert.Equal(segments[1], RepeatedTokens.Segments(9, 1, 1, 4, [5, 6, 7])[0]);
        Assert.All(segments.SelectMany(s => s), token => Assert.InRange(token, 5, 7));
        var repeated = RepeatedTokens.Of(segments, bos: 1);
        Assert.Equal((4, 1), (repeated.Period, repeated.Start));
        Assert.Equal([1, .. segments[1], .. segments[1]], repeated.Rows[1].Tokens);
        Assert.Throws<InterpException>(() => RepeatedTokens.Segments(0, 0, 1, 4, [5]));
    }

    [Fact]
    public void Patterns_of_chosen_heads_are_the_captured_ones()
    {
        using var model = HookedTransformer.FromPretrained("induction");
        var row = model.ToRows("one two one two")[0];
        var patterns = HeadPattern.Of(model, row, [(1, 2), (0, 3), (1, 0)]);
        using var run = model.RunWithCache([row], "blocks.*.attn.hook_pattern");
        using var scope = TorchSharp.torch.NewDisposeScope();
        Assert.Equal([(1, 2), (0, 3), (1, 0)], patterns.Select(p => (p.Layer, p.Head)));
        foreach (var p in patterns)
            Assert.Equal(run[$"blocks.{p.Layer}.attn.hook_pattern"][0, p.Head].contiguous().data<float>().ToArray(), p.Values);
    }

    private static void AssertNear(double[] expected, IReadOnlyList<double> actual)
    {
        Assert.Equal(expected.Length, actual.Count);
        for (var i = 0; i < expected.Length; i++) Assert.Equal(expected[i], actual[i], 2e-6);
    }
}
