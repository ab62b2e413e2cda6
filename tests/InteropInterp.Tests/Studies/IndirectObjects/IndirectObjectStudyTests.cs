using System.Text.Json;
using InteropInterp.Models;
using InteropInterp.Plans;
using InteropInterp.Studies;
using InteropInterp.Studies.IndirectObjects;
using InteropInterp.Tokens;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Studies.IndirectObjects;

public class IndirectObjectStudyTests
{
    [Fact, Trait("Speed", "slow")]
    public void On_SmolLM2_it_names_the_heads_that_TransformerLenss_sweep_names()
    {
        var folder = SharedFolder.Path("models", "09_smollm2_135m");
        using var facts = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "golden.json")));
        var ioi = facts.RootElement.GetProperty("ioi");
        int[][] Ids(string name) =>
            [.. ioi.GetProperty(name).EnumerateArray().Select(row => (int[])[.. row.EnumerateArray().Select(x => x.GetInt32())])];
        var answers = Ids("answer_ids");
        var task = new IndirectObjectTask(Row.From(Ids("clean_ids")), Row.From(Ids("corrupt_ids")), [.. answers.Select(a => a[0])],
            [.. answers.Select(a => a[1])]);

        // The upper layers, where the answer is moved: a third of the cells, a tenth of the work.
        const int First = 17;
        using var model = HookedTransformer.FromPretrained(folder);
        var result = IndirectObjectStudy.Run(model, task, Positions.Slice(First));
        Assert.Equal(1, result.Accuracy);
        Assert.Equal([(23, 3), (29, 1), (20, 0), (17, 4)], result.Ranked().Take(4).Select(h => (h.Layer, h.Head)));
        using var golden = new Golden(Path.Combine(folder, "golden.safetensors"));
        using var scope = NewDisposeScope();
        var expected = golden["ioi.head_out_all_pos"].narrow(0, First, 30 - First);
        var distance = Golden.Distance(tensor(result.Restored.ToArray()).view(30 - First, 9), expected);
        Assert.True(distance < 1e-3, $"off by {distance}");
    }

    [Fact]
    public void Sentences_differ_in_who_comes_again_and_answers_in_which_name_is_left()
    {
        var tokenizer = new ModelTokenizer(TokenizerLoader.FromFolder(SharedFolder.Path("models", "07_tokenizers")));
        var task = IndirectObjectTask.For(tokenizer)!;
        Assert.Equal(8, task.Clean.Count);
        for (var i = 0; i < 8; i++)
        {
            var (clean, corrupt) = (task.Clean[i].Tokens, task.Corrupt[i].Tokens);
            var differing = Enumerable.Range(0, clean.Count).Where(p => clean[p] != corrupt[p]).ToList();
            Assert.Equal((task.Incorrect[i], task.Correct[i]), (clean[differing.Single()], corrupt[differing.Single()]));
            // The clean prompt has the answer once and the other name twice.
            Assert.Equal((1, 2), (clean.Count(t => t == task.Correct[i]), clean.Count(t => t == task.Incorrect[i])));
            Assert.Equal(clean.Count, corrupt.Count);
            Assert.Equal(clean.Count, task.Clean[0].Length);
        }
        Assert.Equal(8, task.Correct.Distinct().Count());
        Assert.StartsWith("<|endoftext|>After Mary and John came", tokenizer.ToText([.. task.Clean[0].Tokens]));
    }

    [Fact]
    public void A_tokenizer_without_the_names_has_no_task()
    {
        using var model = HookedTransformer.FromPretrained("induction");
        Assert.Null(IndirectObjectTask.For(model.Tokenizer));
        var study = ModelStudy.Run(model, new InductionStudyOptions { Rows = 1, PatchedRows = 1, SingleHeads = 1 });
        Assert.Null(study.IndirectObject);
        Assert.Contains("single tokens", study.WhyNoIndirectObject);
        Assert.Equal("<bos>", study.ExampleTokens[0]);
        Assert.Equal(8, study.Patterns.Count);
    }

    [Fact]
    public void Where_nothing_is_to_be_restored_it_says_so()
    {
        using var model =
            HookedTransformer.FromConfig(new TransformerConfig { LayerCount = 1, ModelWidth = 8, HeadWidth = 4,
                ContextLength = 8, VocabularySize = 20, AttentionOnly = true });
        var task = new IndirectObjectTask([new Row([1, 2, 3])], [new Row([1, 2, 3])], [4], [5]);
        Assert.Equal("TASK_NOT_SOLVED", Assert.Throws<InterpException>(() => IndirectObjectStudy.Run(model, task)).Reason);
    }
}
