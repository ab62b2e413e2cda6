using System.Text.Json;
using InteropInterp.Heads;
using InteropInterp.Models;
using InteropInterp.Models.Weights;
using InteropInterp.Native.Operators;
using InteropInterp.Plans;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Heads;

public class HeadDetectorTests
{
    private static readonly Row Clean = new([1023, 881, 25, 198, 835, 13, 198, 198, 720, 25, 198, 688, 13, 198, 198, 881, 25, 198, 835, 13, 198, 198]);

    private static HookedTransformer Shakespeare() => HookedTransformer.FromPretrained(SharedFolder.Path("fixtures", "models", "gpt2_shakespeare"));

    private static Golden Goldens() => new(SharedFolder.Path("fixtures", "analysis", "heads.safetensors"));

    private static string Reason(Action action) => Assert.Throws<InterpException>(action).Reason;

    // "abs" is rounded to three places: a number beside a half may go either way.
    private static void Near(Golden golden, string name, double[][] scores, double tolerance = 2e-5)
    {
        using var scope = NewDisposeScope();
        golden.Near(name, stack([.. scores.Select(s => tensor(s))]), name.Contains("abs", StringComparison.Ordinal) ? 1.01e-3 : tolerance);
    }

    [Fact]
    public void Detected_heads_are_TransformerLenss()
    {
        using var golden = Goldens();
        using var model = Shakespeare();
        using var values = JsonDocument.Parse(File.ReadAllText(SharedFolder.Path("fixtures", "analysis", "heads.json")));
        var checkedNames = 0;
        foreach (var name in golden.Names.Where(n => n.StartsWith("detect_head/", StringComparison.Ordinal) && n.Count(c => c == '/') == 4))
        {
            var parts = name.Split('/');
            var tokens = values.RootElement.GetProperty("values").GetProperty($"seq/{parts[1]}").GetProperty("value").GetProperty("tokens")[0];
            var excluded = parts[4] == "TrueTrue";
            Near(golden, name, HeadDetector.Detect(model.Model, [new Row([.. tokens.EnumerateArray().Select(t => t.GetInt32())])], parts[2], new HeadDetectorOptions
            {
                ExcludeBos = excluded, ExcludeCurrentToken = excluded, Error = parts[3] == "mul" ? PatternError.Multiplied : PatternError.Absolute,
            }));
            checkedNames++;
        }
        Assert.Equal(18, checkedNames);
        Near(golden, "detect_head/heads", HeadDetector.Detect(model.Model, [Clean], "previous_token_head", new() { Heads = [(0, 1), (1, 2)] }));
        Near(golden, "detect_head/list", HeadDetector.Detect(
            model.Model, model.ToRows("The king", "First Citizen:\nYou are all resolved", "O Romeo, Romeo"), "previous_token_head"));
        using var scope = NewDisposeScope();
        var own = Ops.Full([22, 22], 0.3, ScalarType.Float32).tril();
        Near(golden, "detect_head/custom_abs", HeadDetector.Detect(model.Model, Clean, own, new() { Error = PatternError.Absolute }));
    }

    [Fact]
    public void Diagonals_of_repeated_random_tokens_are_TransformerLenss()
    {
        using var golden = Goldens();
        using var model = Shakespeare();
        var repeated = RepeatedTokens.Of([.. golden.Rows("induction/tokens").Select(r => r[1..31])], bos: 1023);
        Assert.Equal(golden.Rows("induction/tokens"), repeated.Rows.Select(r => r.Tokens));
        var scores = HeadScores.Measure(model.Model, repeated);
        using var scope = NewDisposeScope();
        golden.Near("induction/prev_token", tensor(scores.PreviousToken.ToArray(), [4, 4]), 2e-5);
        // TransformerLens's demos average the whole diagonal, two entries more than ours.
        using var run = model.Run(new Plan { Rows = repeated.Rows, Captures = [new Capture("blocks.*.attn.hook_pattern")] });
        var whole = stack([.. run.Captures.Values]).diagonal(1 - 30, -2, -1).mean([1, 3]);
        golden.Near("induction/score", whole, 2e-5);
        Assert.InRange(Golden.Distance(tensor(scores.Induction.ToArray(), [4, 4]), whole), 0, 0.05);
    }

    [Fact]
    public void Diagonals_of_the_attention_only_model_are_TransformerLenss()
    {
        using var golden = new Golden(SharedFolder.Path("fixtures", "analysis", "attn2l.safetensors"));
        using var model = ModelLoader.Load(SharedFolder.Path("models", "04_induction_attn2L", "derived", "induction_head_infinite.safetensors"),
            new LoadOptions { Processing = ProcessingOptions.None });
        var rows = golden.Rows("tokens");
        var scores = HeadScores.Measure(model, RepeatedTokens.Of([.. rows.Select(r => r[..12])], bos: null));
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = Row.From(rows),
            Outputs = new Outputs { Logits = LogitsWanted.Last, LossPerToken = true },
            Captures = [new Capture("*hook_pattern"), new Capture("blocks.1.attn.hook_z"), new Capture("blocks.1.hook_resid_post")],
        });
        using var scope = NewDisposeScope();
        golden.Near("prev_token_score", tensor(scores.PreviousToken.ToArray(), [2, 4]), 2e-5);
        var patterns = stack([run["blocks.0.attn.hook_pattern"], run["blocks.1.attn.hook_pattern"]]);
        golden.Near("induction_score", patterns.diagonal(1 - 12, -2, -1).mean([1, 3]), 2e-5);
        foreach (var name in golden.Names.Where(n => n.StartsWith("cache/", StringComparison.Ordinal))) golden.Near(name, run[name["cache/".Length..]], 2e-5);
        golden.Near("logits_last", run.Logits!.squeeze(1), 5e-5);
        golden.Near("loss_per_token", run.LossPerToken!, 5e-5);
    }

    [Fact]
    public void What_cannot_be_detected_is_refused()
    {
        using var model = TinyModels.Make("gpt2");
        var unknown = Assert.Throws<InterpException>(() => HeadDetector.Detect(model, [new([1, 2])], "induction_heads"));
        Assert.Equal(("UNKNOWN_HEAD_KIND", "induction_head"), (unknown.Reason, unknown.Suggestions[0]));
        Assert.Equal("SEQUENCE_TOO_SHORT", Reason(() => HeadDetector.Detect(model, [new([1])], "induction_head")));
        Assert.Equal("HEAD_OUT_OF_RANGE", Reason(() => HeadDetector.Detect(model, [new([1, 2])], "induction_head", new() { Heads = [(0, 4)] })));
        using var scope = NewDisposeScope();
        Assert.Equal("PATTERN_SHAPE", Reason(() => HeadDetector.Detect(model, new Row([1, 2, 3]), ones(2, 2).tril())));
        Assert.Equal("PATTERN_SHAPE", Reason(() => HeadDetector.Detect(model, new Row([1, 2, 3]), ones(3, 3))));
        Assert.Equal("REPEATED_TOKENS", Reason(() => CopyingByHead.Measure(model, [[1, 2, 1]], null)));
        Assert.Equal("INVALID_OPTION", Reason(() => PrefixMatching.Measure(model, [[1, 2, 3]], null, repeats: 1)));
    }

    [Fact]
    public void A_trained_induction_model_matches_prefixes_and_copies_with_its_second_layer()
    {
        using var model = HookedTransformer.FromPretrained("induction");
        var candidates = Enumerable.Range(0, 48).ToArray();
        var segments = RepeatedTokens.Segments(3, 0, 8, 12, candidates).Select(s => s.Distinct().Take(8).ToArray()).Where(s => s.Length == 8).ToList();
        var matching = PrefixMatching.Measure(model.Model, segments, start: 48, repeats: 4);
        var copying = CopyingByHead.Measure(model.Model, segments, start: 48);
        Assert.True(matching[1].Max() > 0.5 && matching[0].Max() < 0.3, $"{matching[0].Max()}, {matching[1].Max()}");
        // One of eight tokens would be chance.
        Assert.True(copying[1].Min() > 0.4, $"{copying[1].Min()}");
        Assert.All(matching.Concat(copying).SelectMany(s => s), score => Assert.InRange(score, 0, 1 + 1e-6));
    }

    [Fact]
    public void Prefix_matching_is_the_attention_behind_all_earlier_copies()
    {
        using var model = TinyModels.Make("llama");
        int[] segment = [3, 1, 4, 9];
        var scores = PrefixMatching.Measure(model, [segment], start: 0, repeats: 3);
        using var run = PlanRunner.Run(model, new Plan { Rows = [new([0, .. segment, .. segment, .. segment])], Captures = [new Capture("*hook_pattern")] });
        using var scope = NewDisposeScope();
        for (var l = 0; l < 3; l++)
            for (var h = 0; h < 4; h++)
            {
                double At(int query, int key) => run[$"blocks.{l}.attn.hook_pattern"][0, h, query, key].item<double>();
                var expected = Enumerable.Range(5, 4).Sum(i => At(i, i - 3)) + Enumerable.Range(9, 4).Sum(i => At(i, i - 3) + At(i, i - 7));
                Assert.Equal(expected / 8, scores[l][h], 1e-10);
            }
    }

    [Fact]
    public void Copying_is_the_share_of_the_token_itself_in_what_its_head_raises()
    {
        // One head that copies by an identity circuit, and one that writes the next token's direction instead.
        using var model = Circuits.HandBuilt.Model(new TransformerConfig
        {
            LayerCount = 1, ModelWidth = 8, HeadWidth = 8, HeadCount = 2, ContextLength = 8, VocabularySize = 8, AttentionOnly = true, Normalization = null,
            PositionalEmbedding = "none",
        }, (name, shape) => name switch
        {
            "embed.W_E" or "unembed.W_U" => eye(8),
            "blocks.0.attn.W_V" => eye(8).expand(2, 8, 8),
            "blocks.0.attn.W_O" => stack([eye(8), eye(8).roll(1, 1)]),
            _ => zeros(shape),
        });
        var scores = CopyingByHead.Measure(model, [[1, 4, 6]], start: 0);
        Assert.Equal([1, 0], scores[0]);
    }
}
