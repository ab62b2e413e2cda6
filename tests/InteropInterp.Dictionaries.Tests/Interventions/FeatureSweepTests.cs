using System.Text.Json;
using InteropInterp.Dictionaries.Architectures;
using InteropInterp.Dictionaries.Interventions;
using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Models.Weights;
using InteropInterp.Native.Operators;
using InteropInterp.Patching;
using InteropInterp.Plans;
using InteropInterp.Plans.Interventions;
using InteropInterp.Plans.Metrics;
using InteropInterp.Randomness;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Tests.Interventions;

/// <summary>Sweeps over features against one pass per cell, with the spliced activation spelled out.</summary>
public class FeatureSweepTests
{
    private const int Features = 9, Layer = 1;
    private static readonly IReadOnlyList<Row> Clean = Row.From([[5, 9, 17, 3, 8], [11, 4, 4, 21, 2]]);
    private static readonly IReadOnlyList<Row> Corrupt = Row.From([[5, 9, 12, 3, 25], [11, 6, 4, 21, 33]]);
    private static readonly IReadOnlyList<Row> Others = Row.From([[1, 2, 3, 4, 5], [9, 8, 7, 6, 5], [30, 31, 32, 33, 34]]);

    private static readonly Metric Difference = new LogitDiff([3, 8], [9, 1]);

    private static TransformerModel Model(string kind) => ModelLoader.Random(
        new TransformerConfig
        {
            LayerCount = 3, ModelWidth = 16, HeadWidth = 4, ContextLength = 12, VocabularySize = 40, InitializerRange = 0.4, Seed = 2,
            KeyValueHeads = kind == "llama" ? 2 : null, Activation = kind == "llama" ? "silu" : "gelu_new", GatedMlp = kind == "llama",
            Normalization = kind == "llama" ? "RMS" : "LN", ParallelBlocks = kind == "parallel",
            PositionalEmbedding = kind == "gpt2" ? "standard" : "rotary",
        },
        new LoadOptions { Processing = ProcessingOptions.None, DataType = ScalarType.Float64 });

    public static TheoryData<string, string, string> Cells
    {
        get
        {
            var data = new TheoryData<string, string, string>();
            foreach (var kind in new[] { "gpt2", "llama", "parallel" })
                foreach (var (site, source) in new[]
                {
                    ("hook_resid_pre", "run"), ("hook_resid_pre", "zero"), ("hook_resid_pre", "mean"), ("hook_resid_pre", "resample"), ("hook_resid_mid", "zero"),
                    ("hook_resid_post", "run"), ("hook_attn_out", "run"), ("hook_mlp_out", "zero"), ("mlp.hook_post", "run"), ("attn.hook_z", "run"), ("attn.hook_z[2]", "zero"),
                    // Not one that packed passes know.
                    ("ln2.hook_normalized", "run"),
                })
                    if (kind != "parallel" || site is not ("hook_resid_mid")) data.Add(kind, site, source);
            return data;
        }
    }

    [Theory, MemberData(nameof(Cells))]
    public void A_sweep_over_features_equals_one_forward_pass_per_cell(string kind, string where, string source)
    {
        using var model = Model(kind);
        var (site, head) = where.EndsWith(']') ? (where[..^3], where[^2] - '0') : (where, (int?)null);
        var point = $"blocks.{Layer}.{site}";
        // Every architecture and normalisation has its turn.
        using var dictionary = Dictionary(model, point, head, source switch { "zero" => new TopK(4), "mean" => new JumpRelu(Ops.Full([Features], 0.1, ScalarType.Float64)), _ => new Standard() },
            source == "run" ? Normalization.LayerNorm : Normalization.None);
        SweepSource from = source switch
        {
            "zero" => new SweepZero(),
            "mean" => new SweepMean(new Plan { Rows = Others }),
            "resample" => new SweepResample(new Plan { Rows = Others }, 7),
            _ => new SweepFromRun(new Plan { Rows = Clean }),
        };
        var swept = HookSite.ResidPre;
        foreach (var candidate in Enum.GetValues<HookSite>()) if (HookSiteInfo.Of(candidate).Name == site) swept = candidate;
        foreach (var axes in new SweepAxis[][] { [SweepAxis.Layer, SweepAxis.Feature], [SweepAxis.Layer, SweepAxis.Feature, SweepAxis.Position] })
        {
            var result = SweepRunner.Run(model, new Sweep
            {
                Base = new Plan { Rows = Corrupt }, Source = from, Metric = Difference,
                Grid = new SweepGrid(swept, axes) { Bases = [new DictionaryBasis(dictionary)] },
                Features = Positions.At(8, 0, 3, 5), PositionsSwept = Positions.At(1, 2, -1),
            });
            Assert.Equal([Layer], result.Indices[0]);
            Assert.Equal([8, 0, 3, 5], result.Indices[1]);
            var positions = axes.Length == 3 ? result.Indices[2] : [-1];
            var changed = 0;
            for (var cell = 0; cell < result.Values.Count; cell++)
            {
                var expected = Naive(model, dictionary, point, head, source, result.Indices[1][cell / positions.Count], positions[cell % positions.Count]);
                Assert.Equal(expected, result.Values[cell], 1e-9);
                if (Math.Abs(expected - result.Baseline) > 1e-6) changed++;
            }
            Assert.True(changed > 1, "hardly a cell changes anything: the test would pass for a sweep that does nothing");
        }
    }

    private static double Naive(TransformerModel model, SparseDictionary dictionary, string point, int? head, string source, int feature, int position)
    {
        using var scope = NewDisposeScope();
        Tensor Activation(IReadOnlyList<Row> rows)
        {
            using var run = PlanRunner.Run(model, new Plan { Rows = rows, Captures = [new Capture(point)] });
            return run[point].alias();
        }
        Tensor Read(Tensor x) => head is { } h ? x.select(2, h) : x;
        var x = Activation(Corrupt);
        var codes = dictionary.Encode(Read(x));
        var other = source switch
        {
            "zero" => zeros_like(codes),
            "mean" => dictionary.Encode(Read(Activation(Others))).mean([0], keepdim: true).expand_as(codes),
            "resample" => Drawn(dictionary.Encode(Read(Activation(Others)))),
            _ => dictionary.Encode(Read(Activation(Clean))),
        };
        var edited = codes.clone();
        var (first, count) = position < 0 ? (0L, codes.size(1)) : (position, 1L);
        edited.narrow(1, first, count).select(2, feature).copy_(other.narrow(1, first, count).select(2, feature));
        var error = Read(x) - dictionary.Decode(codes, Read(x));
        var value = dictionary.Decode(edited, Read(x)).Plus(error);
        var whole = x.clone();
        if (head is { } chosen) whole.select(2, chosen).copy_(value);
        else whole.copy_(value);
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = Corrupt, Interventions = [new Intervention(point, new SetOp(whole))], Objective = new Objective { Metric = Difference },
        });
        return run.Metric!.mean().item<double>();
    }

    private static Tensor Drawn(Tensor reference)
    {
        var draws = new CounterDraws(7, 0);
        return reference.index_select(0, tensor(new long[] { draws.Below(3), draws.Below(3) }));
    }

    private static SparseDictionary Dictionary(TransformerModel model, string point, int? head, Architecture architecture, Normalization normalization)
    {
        using var scope = NewDisposeScope();
        var joins = point.EndsWith("hook_z", StringComparison.Ordinal) && head is null;
        var width = point.EndsWith("mlp.hook_post", StringComparison.Ordinal) ? model.Config.MlpWidth!.Value : head is null ? 16 : 4;
        using var generator = new Generator(3);
        Tensor Random(params long[] shape) => randn(shape, ScalarType.Float64, generator: generator);
        return new SparseDictionary(
            new DictionaryConfig
            {
                InputWidth = width, Width = Features, JoinsHeads = joins, Normalization = normalization,
                Metadata = JsonSerializer.SerializeToElement(new { hook_name = point, hook_head_index = head }),
            },
            new DictionaryWeights(Random(Features, width), Random(Features), Random(Features, width), Random(width)), architecture);
    }

    [Fact]
    public void Dictionaries_of_several_layers_are_swept_at_once()
    {
        using var model = Model("gpt2");
        using var first = Dictionary(model, "blocks.0.hook_resid_pre", null, new Standard(), Normalization.None);
        using var second = Dictionary(model, "blocks.2.hook_resid_pre", null, new Standard(), Normalization.None);
        Sweep Of(params SparseDictionary[] dictionaries) => new()
        {
            Base = new Plan { Rows = Corrupt }, Source = new SweepFromRun(new Plan { Rows = Clean }), Metric = Difference,
            Grid = new SweepGrid(HookSite.ResidPre, SweepAxis.Layer, SweepAxis.Feature) { Bases = [.. dictionaries.Select(d => new DictionaryBasis(d))] },
        };
        var both = SweepRunner.Run(model, Of(first, second));
        Assert.Equal([2, Features], both.Shape);
        Assert.Equal([0, 2], both.Indices[0]);
        Assert.Equal(SweepRunner.Run(model, Of(first)).Values.Concat(SweepRunner.Run(model, Of(second)).Values), both.Values, (a, b) => Math.Abs(a - b) < 1e-9);
    }

    [Fact]
    public void Features_that_cannot_be_swept_are_refused_with_the_number()
    {
        using var model = Model("gpt2");
        using var dictionary = Dictionary(model, "blocks.1.hook_resid_pre", null, new Standard(), Normalization.None);
        using var narrow = Dictionary(model, "blocks.1.attn.hook_z", 2, new Standard(), Normalization.None);
        using var beyond = Dictionary(model, "blocks.1.attn.hook_z", 7, new Standard(), Normalization.None);
        SweepGrid Grid(HookSite site, SparseDictionary? of, params SweepAxis[] axes) => new(site, axes) { Bases = of is null ? [] : [new DictionaryBasis(of)] };
        SweepAxis[] usual = [SweepAxis.Layer, SweepAxis.Feature];
        void Refused(string reason, string number, SweepGrid grid, Func<Sweep, Sweep>? change = null)
        {
            var sweep = new Sweep { Base = new Plan { Rows = Corrupt }, Source = new SweepZero(), Metric = Difference, Grid = grid };
            var error = Assert.Throws<InterpException>(() => SweepRunner.Run(model, change?.Invoke(sweep) ?? sweep));
            Assert.Equal(reason, error.Reason);
            Assert.Contains(number, error.Message, StringComparison.Ordinal);
        }
        Refused("FEATURE_OUT_OF_RANGE", "feature 9 is out of range: there are 9", Grid(HookSite.ResidPre, dictionary, usual), s => s with { Features = Positions.At(9) });
        Refused("SELECTS_NOTHING", "no feature: 9: of 9", Grid(HookSite.ResidPre, dictionary, usual), s => s with { Features = Positions.Slice(9) });
        Refused("FEATURE_BASIS", "layer 0", Grid(HookSite.ResidPre, dictionary, usual), s => s with { Layers = Positions.At(0) });
        Refused("FEATURE_BASIS", "hook_mlp_out", Grid(HookSite.MlpOut, dictionary, usual));
        Refused("INVALID_GRID", "no dictionaries", Grid(HookSite.ResidPre, null, usual));
        Refused("INVALID_GRID", "no axis Feature", Grid(HookSite.ResidPre, dictionary, SweepAxis.Layer));
        Refused("INVALID_GRID", "Head", Grid(HookSite.Z, narrow, SweepAxis.Layer, SweepAxis.Head, SweepAxis.Feature));
        Refused("DICTIONARY_INPUT", "head 7", Grid(HookSite.Z, beyond, usual));
        Refused("INVALID_GRID", "twice", Grid(HookSite.ResidPre, dictionary, SweepAxis.Layer, SweepAxis.Feature, SweepAxis.Feature));
    }
}
