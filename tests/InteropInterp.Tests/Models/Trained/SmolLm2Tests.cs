using System.Text.Json.Nodes;
using InteropInterp.Generation;
using InteropInterp.Patching;
using InteropInterp.Plans;
using InteropInterp.Plans.Metrics;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Models.Trained;

/// <summary>Model 09: SmolLM2-135M, a real language model, from a quantised GGUF.</summary>
public class SmolLm2Tests
{
    private static string Folder => SharedFolder.Path("models", "09_smollm2_135m");

    private static JsonNode Facts => JsonNode.Parse(File.ReadAllText(Path.Combine(Folder, "golden.json")))!;

    private static IReadOnlyList<int> Ints(JsonNode node) => [.. node.AsArray().Select(n => (int)n!)];

    [Fact]
    public void Tokens_logits_losses_hidden_states_and_greedy_text_are_Hugging_Faces()
    {
        using var golden = new Golden(Path.Combine(Folder, "golden.safetensors"));
        using var model = HookedTransformer.FromPretrainedNoProcessing(Folder);
        foreach (var prompt in Facts["prompts"]!.AsArray())
        {
            var rows = model.ToRows((string)prompt!["text"]!);
            Assert.Equal(Ints(prompt["ids"]!), rows[0].Tokens);
            using var run = model.Run(new Plan { Rows = rows, Outputs = new Outputs { Logits = LogitsWanted.Last, Loss = true } });
            using var scope = NewDisposeScope();
            var (values, ids) = run.Logits![0, 0].topk(10);
            Assert.Equal(Ints(prompt["top_ids"]!), ids.data<long>().ToArray().Select(i => (int)i));
            var expected = prompt["top_logits"]!.AsArray().Select(n => (double)n!).ToArray();
            Assert.True(Golden.Distance(values, tensor(expected)) <= 1e-3);
            Assert.Equal(prompt["top_str"]!.AsArray().Select(n => (string)n!), ids.data<long>().ToArray().Select(i => model.Tokenizer.ToSingleStrToken((int)i)));
            Assert.Equal((double)prompt["loss"]!, run.Loss!.Value, 1e-3);
            var greedy = Ints(prompt["greedy_ids"]!);
            using var written = model.Run(new Plan { Rows = rows, Generation = new GenerationOptions { MaxNewTokens = greedy.Count - rows[0].Length, Sample = false } });
            Assert.Equal(greedy, written.Tokens![0]);
            Assert.Equal((string)prompt["greedy_text"]!, model.Tokenizer.ToText([.. written.Tokens[0]]));
        }

        using var hidden = model.Run(new Plan
        {
            Rows = [new Row(Ints(Facts["prompts"]![0]!["ids"]!))],
            Outputs = new Outputs { Logits = LogitsWanted.Last },
            Captures = [new Capture("blocks.*.hook_resid_pre"), new Capture("unembed.hook_in")],
        });
        using var outer = NewDisposeScope();
        for (var i = 0; i <= 30; i++)
        {
            var ours = hidden[i < 30 ? $"blocks.{i}.hook_resid_pre" : "unembed.hook_in"][0];
            var theirs = golden[$"hf.hidden.{i}"];
            var relative = (ours - theirs).norm().item<float>() / theirs.norm().item<float>();
            Assert.True(relative <= 1e-4, $"hidden state {i}: relative {relative:G3}");
        }
        golden.Near("hf.logits_last", hidden.Logits![0, hidden.Logits.size(1) - 1], 1e-3);
    }

    [Fact]
    public void It_solves_the_indirect_object_task_and_the_sweeps_are_TransformerLenss()
    {
        using var golden = new Golden(Path.Combine(Folder, "golden.safetensors"));
        var task = Facts["ioi"]!;
        using var model = HookedTransformer.FromPretrained(Folder);
        var clean = Row.From(task["clean_ids"]!.AsArray().Select(r => Ints(r!)));
        var corrupt = Row.From(task["corrupt_ids"]!.AsArray().Select(r => Ints(r!)));
        var answers = task["answer_ids"]!.AsArray().Select(r => Ints(r!)).ToList();
        Assert.Equal(clean.Select(r => r.Tokens), model.ToRows([.. task["clean"]!.AsArray().Select(t => (string)t!)]).Select(r => r.Tokens));
        var metric = new LogitDiff([.. answers.Select(a => a[0])], [.. answers.Select(a => a[1])]);

        double[] Differences(IReadOnlyList<Row> rows)
        {
            using var run = model.Run(new Plan { Rows = rows, Objective = new Objective { Metric = metric } });
            using var scope = NewDisposeScope();
            return [.. run.Metric!.data<float>().ToArray().Select(x => (double)x)];
        }

        var (onClean, onCorrupt) = (Differences(clean), Differences(corrupt));
        for (var i = 0; i < 8; i++)
        {
            Assert.Equal((double)task["logit_diff_clean"]![i]!, onClean[i], 1e-3);
            Assert.Equal((double)task["logit_diff_corrupt"]![i]!, onCorrupt[i], 1e-3);
            Assert.True(onClean[i] > 0);
        }
        var grids = new[] { ("resid_pre", "resid_pre"), ("attn_head_out_all_pos", "head_out_all_pos"), ("attn_out", "attn_out"), ("mlp_out", "mlp_out") };
        foreach (var (grid, name) in grids)
        {
            var sweep = model.Sweep(new Sweep
            {
                Base = new Plan { Rows = corrupt },
                Grid = SweepGrid.Of(grid),
                Source = new SweepFromRun(new Plan { Rows = clean }),
                Metric = metric,
            });
            var recovered = sweep.Values.Select(v => (v - onCorrupt.Average()) / (onClean.Average() - onCorrupt.Average())).ToArray();
            using var scope = NewDisposeScope();
            golden.Near($"ioi.{name}", tensor(recovered, [.. sweep.Shape.Select(s => (long)s)]), 1e-3);
            if (grid != "attn_head_out_all_pos") continue;
            var best = Enumerable.Range(0, recovered.Length).OrderByDescending(i => recovered[i]).Take(4).Select(i => (i / 9, i % 9));
            Assert.Equal([(23, 3), (29, 1), (20, 0), (17, 4)], best);
        }
    }
}
