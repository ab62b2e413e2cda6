using InteropInterp.Dictionaries.Architectures;
using InteropInterp.Dictionaries.Captures;
using InteropInterp.Models;
using InteropInterp.Plans;
using InteropInterp.Streams;
using InteropInterp.Streams.Sources;
using InteropInterp.Streams.Statistics;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Dictionaries.Tests.Captures;

/// <summary>A stream over a dictionary's features: what SAEs' dashboards are made of.</summary>
public class FeatureStreamTests
{
    private const string Point = "blocks.1.hook_resid_post";
    private static readonly int[][] Rows = [.. Enumerable.Range(0, 15).Select(r => Enumerable.Range(0, 6).Select(p => (r * 7 + p * p + 1) % TinyModels.Vocabulary).ToArray())];

    [Fact]
    public void Features_are_gathered_where_they_fire()
    {
        using var model = TinyModels.Make("gpt2");
        using var dictionary = Make();
        using var result = StreamRunner.Run(model, new StreamPlan
        {
            Source = new RowSource(Rows), BatchTokens = 20,
            Probes =
            [
                new StreamProbe(Point, new Firing(), new TopExamples(4) { Before = 1, After = 1, Above = 0 }, new Moments()) { Transform = new DictionaryCapture(dictionary) },
            ],
        });
        using var run = PlanRunner.Run(model, new Plan { Rows = Row.From(Rows), Captures = [new Capture(Point)] });
        using var scope = NewDisposeScope();
        var codes = dictionary.Encode(run[Point]).flatten(0, 1);
        var probe = result[$"{Point}.hook_sae_acts_post"];
        Assert.Equal([24L], probe.Unit);
        Assert.True(Golden.Distance(probe["mean"], codes.mean([0])) < 1e-12);
        for (var feature = 0; feature < 24; feature++)
        {
            var column = codes[TensorIndex.Colon, feature].data<double>().ToArray();
            Assert.Equal(column.Count(c => c > 0), probe["firing_count"][feature].item<long>());
            var best = column.Index().Where(c => c.Item > 0).OrderByDescending(c => c.Item).Take(4).ToList();
            for (var k = 0; k < 4; k++)
            {
                Assert.Equal(k < best.Count ? best[k].Index / 6 : -1, probe["top_rows"][feature, k].item<long>());
                if (k < best.Count) Assert.Equal(Rows[best[k].Index / 6][best[k].Index % 6], probe["top_tokens"][feature, k, 1].item<int>());
            }
        }
        // Codes are sparse: some features fire at some tokens only.
        Assert.Contains(probe["firing_count"].data<long>().ToArray(), count => count is > 0 and < 90);
    }

    [Fact]
    public void A_dictionary_of_another_width_is_refused()
    {
        using var model = TinyModels.Make("gpt2");
        using var dictionary = Make();
        Assert.Equal("DICTIONARY_INPUT", Assert.Throws<InterpException>(() => StreamRunner.Start(model, new StreamPlan
        {
            Source = new RowSource(Rows), Probes = [new StreamProbe("blocks.1.mlp.hook_post", new Firing()) { Transform = new DictionaryCapture(dictionary) }],
        })).Reason);
    }

    [Fact]
    public void A_checkpoint_of_another_dictionary_is_refused()
    {
        using var folder = new TemporaryFolder();
        using var model = TinyModels.Make("gpt2");
        using var dictionary = Make();
        using var other = Make(seed: 4);
        StreamPlan Of(SparseDictionary read) => new()
        {
            Source = new RowSource(Rows), Probes = [new StreamProbe(Point, new Firing()) { Transform = new DictionaryCapture(read) }],
            Checkpoint = folder.File("features.safetensors"),
        };
        StreamRunner.Run(model, Of(dictionary)).Dispose();
        Assert.Equal("CHECKPOINT_OF_OTHER_STREAM", Assert.Throws<InterpException>(() => StreamRunner.Run(model, Of(other))).Reason);
        StreamRunner.Run(model, Of(dictionary)).Dispose();
    }

    private static SparseDictionary Make(ulong seed = 3)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(seed);
        Tensor Random(params long[] shape) => randn(shape, ScalarType.Float64, generator: generator);
        // Biases spread so that features fire at very different rates.
        var biases = tensor(Enumerable.Range(0, 24).Select(i => -0.7 * i).ToArray());
        return new SparseDictionary(
            new DictionaryConfig { InputWidth = 16, Width = 24 }, new DictionaryWeights(Random(24, 16), biases, Random(24, 16), Random(16)), new Standard());
    }
}
