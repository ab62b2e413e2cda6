using InteropInterp.Generation;
using InteropInterp.Hooks;
using InteropInterp.Plans;
using InteropInterp.Plans.Interventions;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Generation;

public class GenerationTests
{
    private static readonly Row[] Rows = [new([3, 1, 4, 1, 5, 9]), new([2, 6]), new([5, 3, 5])];

    private static GenerationOptions Greedy(int tokens, bool cache = true) => new() { MaxNewTokens = tokens, Sample = false, UseCache = cache };

    public static TheoryData<string> Kinds => [.. TinyModels.Kinds];

    [Theory, MemberData(nameof(Kinds))]
    public void With_a_cache_without_one_and_by_full_passes_the_tokens_are_the_same(string kind)
    {
        using var model = TinyModels.Make(kind);
        using var cached = PlanRunner.Run(model, new Plan { Rows = Rows, Generation = Greedy(8) });
        using var plain = PlanRunner.Run(model, new Plan { Rows = Rows, Generation = Greedy(8, cache: false) });
        for (var row = 0; row < Rows.Length; row++)
        {
            var tokens = Rows[row].Tokens.ToList();
            for (var i = 0; i < 8; i++)
            {
                using var run = PlanRunner.Run(model, new Plan { Rows = [new(tokens)], Outputs = new Outputs { Logits = LogitsWanted.Last } });
                using var scope = NewDisposeScope();
                tokens = [.. tokens, (int)run.Logits!.argmax().item<long>()];
            }
            Assert.Equal(tokens, cached.Tokens![row]);
            Assert.Equal(tokens, plain.Tokens![row]);
        }
    }

    [Theory, MemberData(nameof(Kinds))]
    public void Activations_of_cached_steps_are_those_of_one_full_pass(string kind)
    {
        using var model = TinyModels.Make(kind);
        string[] points = ["blocks.*.hook_resid_post", "blocks.*.attn.hook_z", "blocks.*.attn.hook_k"];
        using var run = PlanRunner.Run(model, new Plan { Rows = [Rows[0]], Generation = Greedy(6), Captures = [.. points.Select(p => new Capture(p))] });
        // The last token is not run any more.
        using var full = PlanRunner.Run(model, new Plan { Rows = [new Row([.. run.Tokens![0].SkipLast(1)])], Captures = [.. points.Select(p => new Capture(p))] });
        Assert.Equal(full.Captures.Keys, run.Captures.Keys);
        foreach (var name in full.Captures.Keys) Assert.Equal(0, Golden.Distance(run[name], full[name]), 1e-9);
    }

    [Fact]
    public void An_intervention_may_begin_at_a_decode_step()
    {
        using var model = TinyModels.Make("llama");
        using var direction = randn(16, ScalarType.Float64);
        Plan Plan(int from, bool cache) => new()
        {
            Rows = [Rows[0]],
            Generation = Greedy(6, cache),
            Interventions = [new("blocks.1.hook_resid_post", new AddOp(direction, 8)) { Where = new Selector { FromStep = from, Positions = Positions.At(-1) } }],
            Captures = [new Capture("blocks.1.hook_resid_post"), new Capture("blocks.1.hook_resid_post") { Before = true }],
        };
        using var plain = PlanRunner.Run(model, new Plan { Rows = [Rows[0]], Generation = Greedy(6) });
        foreach (var from in new[] { 0, 2 })
        {
            using var run = PlanRunner.Run(model, Plan(from, cache: true));
            using var scope = NewDisposeScope();
            var change = (run["blocks.1.hook_resid_post"] - run["blocks.1.hook_resid_post_before"]).abs().sum(-1)[0].data<double>().ToArray();
            // Positions 0 to 5 are the prompt (its last is the end at step 0), then one per step.
            var steered = Enumerable.Range(0, change.Length).Where(p => change[p] > 1e-9);
            Assert.Equal(from == 0 ? [5, 6, 7, 8, 9, 10] : [7, 8, 9, 10], steered);
            Assert.Equal(6 - from, run.Fired[0].Count);
            Assert.Equal(plain.Tokens![0].Take(6 + from), run.Tokens![0].Take(6 + from));
        }
    }

    [Fact]
    public void Callbacks_are_called_in_every_step_and_may_edit()
    {
        using var model = TinyModels.Make("gpt2");
        var shapes = new List<(int Step, long Positions)>();
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = [Rows[1]],
            Generation = Greedy(3),
            Interventions = [new("blocks.0.hook_resid_pre", new CallbackOp((x, context) =>
            {
                shapes.Add((context.Step, x.shape[1]));
                return null;
            }))],
        });
        Assert.Equal([(0, 2), (1, 1), (2, 1)], shapes);
    }

    [Fact]
    public void A_row_that_has_stopped_repeats_its_stop_token_until_all_have()
    {
        using var model = TinyModels.Make("gpt2");
        using var free = PlanRunner.Run(model, new Plan { Rows = Rows, Generation = Greedy(8) });
        var stop = free.Tokens![0][Rows[0].Length + 1];
        using var run = PlanRunner.Run(model, new Plan { Rows = Rows, Generation = Greedy(8) with { StopTokens = [stop] } });
        var made = run.Tokens!.Select((t, i) => t.Skip(Rows[i].Length).ToList()).ToList();
        Assert.Single(made.Select(t => t.Count).Distinct());
        foreach (var tokens in made.Where(t => t.Contains(stop))) Assert.All(tokens.SkipWhile(t => t != stop), t => Assert.Equal(stop, t));
        Assert.Equal(stop, made[0][1]);
    }

    [Fact]
    public void The_same_seed_writes_the_same_and_another_seed_does_not()
    {
        using var model = TinyModels.Make("gpt2");
        IReadOnlyList<IReadOnlyList<int>> Write(ulong seed, params Row[] rows)
        {
            using var run = PlanRunner.Run(model, new Plan { Rows = rows, Seed = seed, Generation = new GenerationOptions { MaxNewTokens = 10, Temperature = 2 } });
            return run.Tokens!;
        }
        Assert.Equal(Write(7, Rows), Write(7, Rows));
        Assert.Equal(Write(7, Rows)[0], Write(7, Rows[0])[0]);
        Assert.NotEqual(Write(7, Rows), Write(8, Rows));
    }

    [Fact]
    public void Ungrouped_keys_generate_the_same()
    {
        using var model = TinyModels.Make("llama");
        using var grouped = PlanRunner.Run(model, new Plan { Rows = Rows, Generation = Greedy(5) });
        using var ungrouped = PlanRunner.Run(model, new Plan { Rows = Rows, Generation = Greedy(5), Flags = new ModelFlags { UngroupGroupedQueryAttention = true } });
        Assert.Equal(grouped.Tokens, ungrouped.Tokens);
    }
}
