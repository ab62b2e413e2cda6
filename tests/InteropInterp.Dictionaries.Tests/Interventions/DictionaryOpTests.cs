using InteropInterp.Dictionaries.Captures;
using InteropInterp.Dictionaries.Interventions;
using InteropInterp.Dictionaries.Tests.Support;
using InteropInterp.Generation;
using InteropInterp.Models;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using InteropInterp.Plans.Interventions;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Tests.Interventions;

public class DictionaryOpTests
{
    private const string Hook = "blocks.1.hook_resid_pre";

    private static readonly IReadOnlyList<Row> Rows = Row.From([[10, 3, 35, 7, 2], [4, 10, 10, 9, 1]]);

    [Fact]
    public void A_dictionary_where_it_does_not_fit_is_refused_before_anything_runs()
    {
        using var model = Fixture.TinyModel();
        using var plain = DictionaryLoader.Load(Fixture.FolderOf("saelens_standard"));
        using var heads = DictionaryLoader.Load(Fixture.FolderOf("saelens_standard_hook_z"));
        Refused("DICTIONARY_INPUT", new Intervention("blocks.1.mlp.hook_post", new SpliceOp(plain)));
        Refused("DICTIONARY_INPUT", new Intervention(Hook, new SpliceOp(heads)));
        var oneHead = new Selector { Heads = Positions.At(0) };
        Refused("DICTIONARY_INPUT", new Intervention("blocks.1.attn.hook_z", new SteerOp(heads, 1, 1)) { Where = oneHead });
        Refused("DICTIONARY_INPUT", new Intervention(Hook, new SteerOp(plain, 1, 1)) { Where = new Selector { Last = Positions.At(0) } });
        Refused("FEATURE_OUT_OF_RANGE", new Intervention(Hook, new SteerOp(plain, 80, 1)));
        Refused("FEATURE_OUT_OF_RANGE", new Intervention(Hook, SpliceOp.Edit(plain, FeatureEdit.Ablate(3, -1))));
        var error = Assert.Throws<InterpException>(() => PlanRunner.Check(model, new Plan
        {
            Rows = Rows, Captures = [new Capture("blocks.1.attn.hook_z") { Transform = new DictionaryCapture(heads), Where = oneHead }],
        }));
        Assert.Equal("DICTIONARY_INPUT", error.Reason);
        Assert.Contains("blocks.1.attn.hook_z", error.Message);

        void Refused(string reason, Intervention intervention)
        {
            var plan = new Plan { Rows = Rows, Interventions = [intervention] };
            Assert.Equal(reason, Assert.Throws<InterpException>(() => PlanRunner.Check(model, plan)).Reason);
        }
    }

    [Fact]
    public void Only_selected_positions_are_edited()
    {
        using var model = Fixture.TinyModel();
        using var dictionary = DictionaryLoader.Load(Fixture.FolderOf("saelens_standard"));
        DictionaryOp[] ops = [new SpliceOp(dictionary), new SteerOp(dictionary, 3, 2), SpliceOp.Edit(dictionary, FeatureEdit.Clamp(5, 3))];
        foreach (var op in ops)
        {
            using var run = PlanRunner.Run(model, new Plan
            {
                Rows = Rows,
                Interventions = [new Intervention(Hook, op) { Where = new Selector { Positions = Positions.Slice(1) } }],
                Captures = [new Capture(Hook) { Before = true }, new Capture(Hook)],
            });
            using var scope = NewDisposeScope();
            var change = run[Hook] - run[$"{Hook}_before"];
            Assert.Equal(0, change.narrow(1, 0, 1).abs().max().item<float>());
            Assert.True(change.narrow(1, 1, 4).abs().sum(-1).min().item<float>() > 1e-3);
        }
    }

    [Fact]
    public void Codes_of_an_edited_activation_are_the_edited_codes_where_directions_are_orthogonal()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(4);
        var (basis, _) = linalg.qr(randn([6, 6], ScalarType.Float64, generator: generator));
        using var dictionary = new SparseDictionary(
            new DictionaryConfig { InputWidth = 6, Width = 6 },
            new DictionaryWeights(
                basis.clone(), zeros(6, ScalarType.Float64), basis.clone(), randn([6], ScalarType.Float64, generator: generator)),
            new Architectures.Standard());
        // All features active.
        var x = dictionary.Decode(rand([2, 3, 6], ScalarType.Float64, generator: generator));
        var input = new OpInput(new Hooks.HookPoint(Hooks.HookSite.ResidPre, 0), [0, 1], [0, 1], 0, 0, null);
        var before = dictionary.Encode(x);
        var after = dictionary.Encode(SpliceOp.Edit(dictionary, FeatureEdit.Clamp(4, 2), FeatureEdit.Scale(3, 0)).Apply(x, input));
        Assert.InRange(Golden.Distance(after.select(-1, 2), ones_like(after.select(-1, 2)) * tensor(4.0)), 0, 1e-12);
        Assert.InRange(Golden.Distance(after.select(-1, 0), before.select(-1, 0) * tensor(3.0)), 0, 1e-12);
        foreach (var other in new[] { 1, 3, 4, 5 })
            Assert.InRange(Golden.Distance(after.select(-1, other), before.select(-1, other)), 0, 1e-12);
    }

    [Fact]
    public void Editing_a_feature_needs_only_its_own_row_and_gives_what_all_of_them_give()
    {
        string[] names = ["saelens_standard", "saelens_jumprelu", "saelens_topk_rescaled", "saelens_batchtopk_as_jumprelu/checkpoint"];
        foreach (var name in names)
        {
            using var dictionary = Fixture.InFloat64(name);
            using var scope = NewDisposeScope();
            using var generator = new Generator(7);
            var x = randn([20, 32], ScalarType.Float64, generator: generator);
            var features = new[] { 71, 3, 8, 75 };
            var all = dictionary.Encode(x).index_select(-1, tensor(features.Select(f => (long)f).ToArray()));
            Assert.InRange(Golden.Distance(all, dictionary.Encode(x, features)), 0, 1e-12);
        }
    }

    [Fact]
    public void Steering_holds_at_every_step_of_a_generation_with_a_cache_as_without()
    {
        using var model = Fixture.TinyModel();
        using var dictionary = DictionaryLoader.Load(Fixture.FolderOf("saelens_standard"));
        var intervention = DictionaryHook.At(new SteerOp(dictionary, 3, 8), new Selector { Positions = Positions.Slice(1) });
        var texts = new List<IReadOnlyList<int>>();
        foreach (var (steer, cache) in new[] { (true, true), (true, false), (false, true) })
        {
            using var run = PlanRunner.Run(model, new Plan
            {
                Rows = [Rows[0]],
                Interventions = steer ? [intervention] : [],
                Generation = new GenerationOptions { MaxNewTokens = 8, Sample = false, UseCache = cache },
            });
            texts.Add(run.Tokens![0]);
            if (steer) Assert.Equal(8, run.Fired[0].Count);
        }
        Assert.Equal(texts[0], texts[1]);
        Assert.NotEqual(texts[0], texts[2]);
    }

    [Fact]
    public void Cutting_a_plan_into_batches_changes_nothing_and_the_dictionarys_memory_counts()
    {
        using var model = Fixture.TinyModel(ScalarType.Float64);
        using var dictionary = Fixture.InFloat64("saelens_jumprelu");
        var plan = new Plan
        {
            Rows = Rows,
            Interventions = [DictionaryHook.At(new SpliceOp(dictionary))],
            Captures = [DictionaryHook.At(new DictionaryCapture(dictionary))],
            Outputs = Outputs.AllLogits,
        };
        var bare = plan with { Interventions = [], Captures = [] };
        Assert.True(PlanRunner.Check(model, plan).WorkingBytes > PlanRunner.Check(model, bare).WorkingBytes);
        Assert.Equal([2, 5, 80], PlanRunner.Check(model, plan).Captures[$"{Hook}.hook_sae_acts_post"]);
        using var whole = PlanRunner.Run(model, plan);
        using var cut = PlanRunner.Run(model, plan, new ExecutionOptions { BatchBudget = 1 });
        Assert.InRange(Golden.Distance(whole.Logits!, cut.Logits!), 0, 1e-11);
        Assert.InRange(Golden.Distance(whole[$"{Hook}.hook_sae_acts_post"], cut[$"{Hook}.hook_sae_acts_post"]), 0, 1e-11);
    }

    [Fact]
    public void A_normalising_dictionary_cannot_decode_codes_alone()
    {
        using var dictionary = DictionaryLoader.Load(Fixture.FolderOf("saelens_standard_layer_norm"));
        using var scope = NewDisposeScope();
        Assert.Equal("DECODING_NEEDS_INPUT", Assert.Throws<InterpException>(() => dictionary.Decode(zeros(2, 80))).Reason);
        Assert.Equal("CODES_SHAPE", Assert.Throws<InterpException>(() => dictionary.Decode(zeros(2, 79), zeros(2, 32))).Reason);
        Assert.Equal("DICTIONARY_INPUT", Assert.Throws<InterpException>(() => dictionary.Encode(zeros(2, 31))).Reason);
        Assert.Equal("INVALID_SCALE", Assert.Throws<InterpException>(() => dictionary.FoldActivationScale(2)).Reason);
    }

    [Fact]
    public void Selectors_that_leave_tokens_out_cover_every_other_position_once()
    {
        var where = TokenSelectors.Except([.. Rows, new Row([10, 10]), new Row([10, 5, 35, 5, 5])], [10, 35]);
        var covered = where.SelectMany(w => w.Rows.Indices!.SelectMany(r => w.Positions.Indices!.Select(p => (r, p)))).Order().ToList();
        Assert.Equal([(0, 1), (0, 3), (0, 4), (1, 0), (1, 3), (1, 4), (3, 1), (3, 3), (3, 4)], covered);
        // Rows 0 and 3 keep the same positions.
        Assert.Equal(2, where.Count);
    }

    [Fact]
    public void The_head_a_dictionary_was_trained_on_is_the_one_it_reads()
    {
        using var model = Fixture.TinyModel();
        using var scope = NewDisposeScope();
        using var generator = new Generator(9);
        Tensor Draw(params long[] shape) => randn(shape, generator: generator);
        var metadata = System.Text.Json.JsonDocument.Parse("{\"hook_name\": \"blocks.1.attn.hook_z\", \"hook_head_index\": 2}").RootElement;
        using var dictionary = new SparseDictionary(
            new DictionaryConfig { InputWidth = 8, Width = 20, Metadata = metadata },
            new DictionaryWeights(Draw(20, 8), Draw(20), Draw(20, 8), Draw(8)),
            new Architectures.Standard());
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = Rows,
            Interventions = [DictionaryHook.At(new SpliceOp(dictionary))],
            Captures = [new Capture("blocks.1.attn.hook_z") { Before = true }, new Capture("blocks.1.attn.hook_z")],
        });
        var (before, after) = (run["blocks.1.attn.hook_z_before"], run["blocks.1.attn.hook_z"]);
        var change = (after - before).abs().amax([0, 1, 3]).data<float>().ToArray();
        Assert.Equal([false, false, true, false], change.Select(c => c > 0));
        Assert.InRange(Golden.Distance(dictionary.Reconstruct(before.select(2, 2)), after.select(2, 2)), 0, 1e-5);
    }

    [Fact]
    public void Without_a_hook_name_a_dictionary_says_so()
    {
        using var dictionary = DictionaryLoader.Load(Fixture.ListComparison("sae_k3.safetensors"));
        Assert.Equal("NO_HOOK_NAME", Assert.Throws<InterpException>(() => DictionaryHook.At(new SpliceOp(dictionary))).Reason);
    }
}
