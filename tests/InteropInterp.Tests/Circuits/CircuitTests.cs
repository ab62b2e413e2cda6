using InteropInterp.Circuits;
using InteropInterp.Circuits.Weights;
using InteropInterp.Models;
using InteropInterp.Native.Operators;
using InteropInterp.Plans;
using InteropInterp.Plans.Interventions;
using InteropInterp.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Circuits;

public class CircuitTests
{
    private const int Vocabulary = TinyModels.Vocabulary;

    private static readonly Row[] Rows = [new([3, 1, 4, 1, 5, 9, 2]), new([6, 5, 3, 5, 8, 9, 7])];

    private static string Reason(Action action) => Assert.Throws<InterpException>(action).Reason;

    private static void Near(Tensor expected, Tensor actual, double tolerance = 1e-10)
    {
        Assert.Equal(expected.shape, actual.shape);
        Assert.InRange(Golden.Distance(actual, expected), 0, tolerance);
    }

    [Theory]
    [InlineData("gpt2")]
    [InlineData("llama")]
    public void Eigenvalues_of_full_circuits_are_those_of_the_dense_matrices(string kind)
    {
        using var model = TinyModels.Make(kind);
        using var scope = NewDisposeScope();
        var (w, l, h) = (model.Weights, 1, 3);
        var keyHead = h * model.Config.KeyHeads / model.Config.HeadCount;
        Tensor Weight(string name) => model.StateDict[$"blocks.{l}.attn.{name}"];
        var mark = model.Config.KeyValueHeads is null ? "" : "_";
        var ov = w.Embed.MatMul(Weight($"{mark}W_V")[keyHead]).MatMul(Weight("W_O")[h]).MatMul(w.Unembed.t());
        var qk = w.Embed.MatMul(Weight("W_Q")[h]).MatMul(Weight($"{mark}W_K")[keyHead].t()).MatMul(w.Embed.t());
        foreach (var (dense, found) in new[] { (ov, CircuitEigenvalues.FullOV(model)[l, h]), (qk, CircuitEigenvalues.FullQK(model)[l, h]) })
        {
            var all = linalg.eigvals(dense);
            Near(all.abs().sort(0, true).Values.narrow(0, 0, found.size(0)), found.abs().sort(0, true).Values, 1e-8);
            Near(all.real.sum(), found.real.sum(), 1e-8);
        }
        using var scores = CircuitEigenvalues.CopyingScores(model);
        var eigenvalues = linalg.eigvals(ov);
        Assert.Equal((eigenvalues.real.sum() / eigenvalues.abs().sum()).item<double>(), scores[l, h].item<double>(), 1e-8);
    }

    [Fact]
    public void Composition_scores_are_those_of_the_dense_matrices_and_of_earlier_heads_only()
    {
        using var model = TinyModels.Make("llama");
        using var scope = NewDisposeScope();
        var (ov, qk) = (AttentionCircuits.OV(model), AttentionCircuits.QK(model));
        foreach (var kind in Enum.GetValues<Composition>())
        {
            using var scores = CompositionScores.All(model, kind);
            Assert.Equal([3, 4, 3, 4], scores.shape);
            var left = ov[0, 1].AB;
            var right = kind switch { Composition.Q => qk[2, 3].AB, Composition.K => qk[2, 3].AB.t(), _ => ov[2, 3].AB };
            var norm = left.MatMul(right).square().sum().sqrt() / (left.square().sum().sqrt() * right.square().sum().sqrt());
            Assert.Equal(norm.item<double>(), scores[0, 1, 2, 3].item<double>(), 1e-10);
            for (var later = 0; later < 3; later++)
                for (var earlier = later; earlier < 3; earlier++) Assert.Equal(0, scores[earlier][TensorIndex.Colon, later].abs().sum().item<double>());
        }
    }

    [Theory]
    [InlineData(64, 16, 0.1249, 0.0073)]
    [InlineData(512, 64, 0.0441, 0.0005)]
    public void Unrelated_matrices_score_one_over_the_root_of_the_width(int width, int headWidth, double mean, double deviation)
    {
        // papers.md §7.3.
        var baseline = CompositionBaseline.Measure(width, headWidth, samples: 24);
        Assert.Equal(mean, baseline.Mean, 3 * deviation / Math.Sqrt(24) + 1e-4);
        Assert.InRange(baseline.Deviation, deviation / 2, deviation * 2);
        Assert.Equal(baseline, CompositionBaseline.Measure(width, headWidth, samples: 24));
    }

    [Fact]
    public void Paths_through_heads_sum_to_the_logits()
    {
        using var model = Linear(2);
        using var run = PlanRunner.Run(model, new Plan { Rows = Rows, Outputs = Outputs.AllLogits, Captures = [new Capture("*hook_pattern"), new Capture("blocks.0.hook_resid_pre")] });
        using var scope = NewDisposeScope();
        Tensor Patterns(int layer) => run[$"blocks.{layer}.attn.hook_pattern"];
        var stream = run["blocks.0.hook_resid_pre"];
        var sum = stream;
        void Add(params HeadName[] heads) =>
            sum = sum.Plus(VirtualHeads.Pattern(model, Patterns, heads).MatMul(stream).MatMul(VirtualHeads.OV(model, heads).AB));
        for (var h = 0; h < 4; h++)
        {
            Add(new HeadName(0, h));
            Add(new HeadName(1, h));
            for (var later = 0; later < 4; later++) Add(new HeadName(0, h), new HeadName(1, later));
        }
        Near(run.Logits!, sum.MatMul(model.Weights.Unembed.t()));
        Assert.Equal("VIRTUAL_HEAD", Reason(() => VirtualHeads.OV(model, new HeadName(1, 0), new HeadName(0, 0))));
        Assert.Equal("HEAD_OUT_OF_RANGE", Reason(() => VirtualHeads.OV(model, new HeadName(0, 4))));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Term_importance_goes_from_the_direct_path_to_the_whole_model(bool norm)
    {
        using var model = norm ? TinyModels.Make("attention", change: c => c with { Normalization = "LN", LayerCount = 3 }) : Linear(3);
        var terms = TermImportance.Measure(model, Rows);
        using var run = PlanRunner.Run(model, new Plan { Rows = Rows, Outputs = new Outputs { Loss = true } });
        using var direct = PlanRunner.Run(model, new Plan
        {
            Rows = Rows,
            Outputs = new Outputs { Loss = true },
            Interventions = [new Intervention("blocks.*.hook_attn_out", new ZeroOp())],
        });
        Assert.Equal(4, terms.Losses.Count);
        Assert.Equal(run.Loss!.Value, terms.Losses[3], 1e-10);
        // Without a norm nothing else is frozen that zeroing does not leave alone.
        if (!norm) Assert.Equal(direct.Loss!.Value, terms.Losses[0], 1e-10);
        Assert.NotEqual(terms.Losses[2], terms.Losses[3], 1e-6);
        Assert.Equal(Math.Log(Vocabulary) - terms.Losses[3], terms.Marginals(Math.Log(Vocabulary)).Sum(), 1e-10);
        using var gpt2 = TinyModels.Make("gpt2");
        Assert.Equal("NOT_ATTENTION_ONLY", Reason(() => TermImportance.Measure(gpt2, Rows)));
    }

    [Fact]
    public void A_trained_induction_model_owes_its_loss_to_single_heads()
    {
        using var model = HookedTransformer.FromPretrained("induction");
        var task = InductionTrainerOptions.Task;
        var rows = Row.From(task.Draw(5, 0, 16).Tokens.Chunk(task.Length).Select(row => Array.ConvertAll(row, t => (int)t)));
        var terms = TermImportance.Measure(model.Model, rows);
        Assert.True(terms.Losses[1] < terms.Losses[0]);
        using var run = model.Run(new Plan { Rows = rows, Outputs = new Outputs { Loss = true } });
        Assert.Equal(run.Loss!.Value, terms.Losses[^1], 1e-5);
    }

    [Fact]
    public void Bigrams_are_the_logits_of_a_model_without_layers()
    {
        using var model = TinyModels.Make("gpt2", change: c => c with { LayerCount = 0 });
        using var run = PlanRunner.Run(model, new Plan { Rows = [new([7, 11])], Outputs = Outputs.AllLogits });
        using var scope = NewDisposeScope();
        var expected = run.Logits![0, 1].log_softmax(-1);
        var table = BigramTable.Of(model, [11], top: 3, position: 1);
        var (values, places) = expected.topk(3);
        Assert.Equal(places.data<long>().ToArray(), table[0].Next.Select(n => (long)n.Token));
        Assert.Equal(values.data<double>().ToArray(), table[0].Next.Select(n => n.LogProb), (a, b) => Math.Abs(a - b) < 1e-12);
        Assert.Equal(Vocabulary, BigramTable.Of(model).Count);
        Assert.Equal("TOKEN_OUT_OF_RANGE", Reason(() => BigramTable.Of(model, [40])));
        Assert.Equal("POSITION_OUT_OF_RANGE", Reason(() => BigramTable.Of(model, [1], position: 24)));
    }

    [Fact]
    public void Skip_trigrams_are_the_entries_of_both_circuits()
    {
        using var model = Linear(1);
        using var scope = NewDisposeScope();
        var w = model.Weights;
        var ov = AttentionCircuits.OV(model)[0, 2].After(w.Embed).Times(w.Unembed.t()).AB;
        ov = ov - ov.mean([1], keepdim: true);
        var qk = AttentionCircuits.QK(model)[0, 2].After(w.Embed).Times(w.Embed.t()).AB.DividedBy(model.Config.ScoreDivisor(0));
        qk = qk - qk.mean([1], keepdim: true);
        var table = SkipTrigrams.Of(model, head: 2, sources: [5, 17], top: 3);
        foreach (var entry in table)
        {
            Assert.Equal(ov[entry.Source].topk(3).indexes.data<long>().ToArray(), entry.Outs.Select(o => (long)o.Token));
            Assert.Equal(qk.select(1, entry.Source).topk(3).indexes.data<long>().ToArray(), entry.Destinations.Select(d => (long)d.Token));
            Assert.Equal(ov[entry.Source].max().item<double>(), entry.Outs[0].Logit, 1e-10);
            Assert.Equal(qk.select(1, entry.Source).max().item<double>(), entry.Destinations[0].Score, 1e-10);
        }
        var strongest = SkipTrigrams.Of(model, head: 2, top: 4);
        Assert.Equal(ov.flatten().argmax().item<long>() / Vocabulary, strongest[0].Source);
        Assert.Equal("HEAD_OUT_OF_RANGE", Reason(() => SkipTrigrams.Of(model, head: 4)));
    }

    [Fact]
    public void A_head_that_knows_two_phrases_also_knows_their_mixtures()
    {
        // papers.md §7.1: keep..in mind and keep..at bay in one head; its table holds keep..in bay as well.
        const int Keep = 0, In = 1, At = 2, Mind = 3, Bay = 4;
        Tensor Entries(long[] shape, params (int From, int To)[] entries)
        {
            var weight = zeros(shape, ScalarType.Float64);
            foreach (var (from, to) in entries) weight.select(0, 0)[from, to] = tensor(1.0);
            return weight;
        }
        using var model = HandBuilt.Model(new TransformerConfig
        {
            LayerCount = 1, ModelWidth = 5, HeadWidth = 2, HeadCount = 1, ContextLength = 4, VocabularySize = 5, AttentionOnly = true, Normalization = null,
            PositionalEmbedding = "none", UseAttentionScale = false,
        }, (name, shape) => name switch
        {
            "embed.W_E" or "unembed.W_U" => eye(5),
            "blocks.0.attn.W_Q" => Entries(shape, (In, 0), (At, 0)),
            "blocks.0.attn.W_K" or "blocks.0.attn.W_V" => Entries(shape, (Keep, 0)),
            _ => Entries(shape, (0, Mind), (0, Bay)),
        });
        var table = SkipTrigrams.Of(model, head: 0, top: 2);
        Assert.Equal(Keep, table[0].Source);
        Assert.Equal([In, At], table[0].Destinations.Select(d => d.Token).Order());
        Assert.Equal([Mind, Bay], table[0].Outs.Select(o => o.Token).Order());
        Assert.Equal(table[0].Outs[0].Logit, table[0].Outs[1].Logit, 1e-12);
    }

    // Attention only, no norm, no biases: a sum of paths.
    private static TransformerModel Linear(int layers)
    {
        InteropInterp.Native.LibTorch.Load();
        using var generator = new Generator(21);
        return HandBuilt.Model(
            TinyModels.Config("attention") with { LayerCount = layers }, (_, shape) => randn(shape, ScalarType.Float64, generator: generator).Times(0.4));
    }
}
