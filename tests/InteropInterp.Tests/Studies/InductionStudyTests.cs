using InteropInterp.Models;
using InteropInterp.Studies;

namespace InteropInterp.Tests.Studies;

public class InductionStudyTests
{
    private static InductionStudyResult? study;

    // The embedded model's study is what several tests look at.
    private static InductionStudyResult Study()
    {
        if (study is not null) return study;
        using var model = HookedTransformer.FromPretrained("induction");
        return study = InductionStudy.Run(model, new InductionStudyOptions { Rows = 64 });
    }

    [Fact]
    public void The_embedded_model_has_learnt_to_copy()
    {
        var r = Study();
        Assert.True(r.RepeatLoss < 0.4, $"repeat loss {r.RepeatLoss}");
        Assert.True(r.RandomLoss > r.UniformLoss && r.FirstLoss > r.UniformLoss,
            $"random tokens cannot be predicted: {r.RandomLoss}, {r.FirstLoss}");
        Assert.Equal(Math.Log(48), r.UniformLoss, 1e-12);
        Assert.Equal((2, 4), (r.Scores.Layers, r.Scores.Heads));
        Assert.True(r.Scores.PreviousToken.Take(4).Max() > 0.6, "a previous-token head in layer 0");
        Assert.True(r.Scores.Induction.Skip(4).Max() > 0.5, "induction heads in layer 1");
        Assert.True(r.Scores.Induction.Take(4).Max() < 0.1, "no induction in layer 0");
    }

    [Fact]
    public void The_card_says_what_is_measured()
    {
        var r = Study();
        using var card =
            System.Text.Json.JsonDocument.Parse(File.ReadAllText(Path.Combine(EmbeddedModels.Find("induction")!, "card.json")));
        var root = card.RootElement;
        Assert.Equal(root.GetProperty("repeat_loss").GetDouble(), r.RepeatLoss, 1e-4);
        Assert.Equal(root.GetProperty("first_loss").GetDouble(), r.FirstLoss, 1e-4);
        Assert.Equal(root.GetProperty("previous_token").EnumerateArray().Max(x => x.GetDouble()),
            r.Scores.PreviousToken.Take(4).Max(), 1e-4);
        Assert.Equal(root.GetProperty("induction").EnumerateArray().Max(x => x.GetDouble()), r.Scores.Induction.Skip(4).Max(), 1e-4);
        Assert.All(root.GetProperty("acceptance").EnumerateArray(), c => Assert.True(c.GetProperty("is_met").GetBoolean(), c.GetRawText()));
        Assert.InRange(root.GetProperty("first_step_below_one").GetInt32(), 100, 1500);
    }

    // The table of TransformerLens's Activation Patching demo, which any two-layer induction model must show.
    [Fact]
    public void Patching_restores_what_it_must_and_little_else()
    {
        var r = Study().Patching;
        Assert.Equal(1, r.Layer);
        Assert.True(r.Clean > -0.5, $"clean {r.Clean}");
        double Restored(string corruption, string part) => r.Restored(Of(r, corruption), Of(r, corruption).AllHeads[IndexOf(part)]);
        var restores = new HashSet<(string, string)> { ("AB", "q"), ("AB", "pattern"), ("BB", "v") };
        foreach (var corruption in InductionPatching.Corruptions)
        {
            restores.Add((corruption, "z"));
            Assert.True(Of(r, corruption).Baseline < -5, $"{corruption} is no corruption: {Of(r, corruption).Baseline}");
        }
        foreach (var corruption in InductionPatching.Corruptions)
            foreach (var part in InductionPatching.Parts)
            {
                var share = Restored(corruption, part);
                if (restores.Contains((corruption, part))) Assert.True(share > 0.9, $"{corruption} {part} restores {share}");
                else Assert.True(share < 0.4, $"{corruption} {part} restores {share}");
            }
    }

    [Fact]
    public void Single_heads_share_the_work()
    {
        var r = Study().Patching;
        Assert.Equal([0, 1, 2, 3], r.Heads);
        foreach (var corruption in r.Corruptions)
            foreach (var value in corruption.SingleHeads[IndexOf("z")])
                Assert.InRange(r.Restored(corruption, value), 0.2, 0.8);
    }

    [Fact]
    public void Grouped_keys_are_patched_for_one_query_head_alone()
    {
        using var model = HookedTransformer.FromConfig(new TransformerConfig
        {
            LayerCount = 2, ModelWidth = 16, HeadCount = 4, HeadWidth = 4, KeyValueHeads = 2, ContextLength = 24,
                VocabularySize = 40, AttentionOnly = true,
            PositionalEmbedding = "rotary", Normalization = "RMS", InitializerRange = 0.6, Seed = 4,
        });
        var r = InductionStudy.Run(model, new InductionStudyOptions { Rows = 2, PatchedRows = 2 }).Patching;
        var values = Of(r, "BB").SingleHeads[IndexOf("v")];
        Assert.Equal(4, values.Count);
        Assert.Equal(4, values.Distinct().Count());
    }

    [Theory]
    [InlineData("bidirectional", "no next token")]
    [InlineData("short", "no room")]
    [InlineData("classifier", "not the next token")]
    [InlineData("tiny", "vocabulary")]
    public void Models_it_does_not_suit_are_refused_with_the_reason(string kind, string reason)
    {
        var config = new TransformerConfig { LayerCount = 1, ModelWidth = 8, HeadWidth = 4, ContextLength = 32,
            VocabularySize = 30, AttentionOnly = true };
        using var model = HookedTransformer.FromConfig(kind switch
        {
            "bidirectional" => config with { AttentionDirection = "bidirectional" },
            "short" => config with { ContextLength = 7 },
            "classifier" => config with { OutputVocabularySize = 2 },
            _ => config with { VocabularySize = 3 },
        });
        var error = Assert.Throws<InterpException>(() => InductionStudy.Run(model));
        Assert.Equal("STUDY_NOT_APPLICABLE", error.Reason);
        Assert.Contains(reason, error.Message);
    }

    [Fact]
    public void It_tells_how_far_it_is_and_stops_when_asked()
    {
        using var model = HookedTransformer.FromPretrained("induction");
        using var stop = new CancellationTokenSource();
        var told = new List<StudyProgress>();
        var error = Assert.Throws<InterpException>(() => InductionStudy.Run(model, new InductionStudyOptions { Rows = 1 }, p =>
        {
            told.Add(p);
            if (p.What == "patching" && p.Done == 3) stop.Cancel();
        }, stop.Token));
        Assert.Equal(ErrorCode.Cancelled, error.Code);
        Assert.Equal(("patching", 3, 20), (told[^1].What, told[^1].Done, told[^1].Total));
    }

    private static CorruptionEffect Of(InductionPatchingResult r, string name) => r.Corruptions.Single(c => c.Name == name);

    private static int IndexOf(string part) => InductionPatching.Parts.ToList().IndexOf(part);
}
