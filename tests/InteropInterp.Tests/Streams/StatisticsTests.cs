using InteropInterp.Models;
using InteropInterp.Native.Operators;
using InteropInterp.Plans;
using InteropInterp.Streams;
using InteropInterp.Streams.Sources;
using InteropInterp.Streams.Statistics;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Streams;

/// <summary>Each statistic against the same computed from all activations at once.</summary>
public class StatisticsTests
{
    private const string Z = "blocks.1.attn.hook_z", Post = "blocks.1.mlp.hook_post", Resid = "blocks.0.hook_resid_post";

    // Rows of different length; one is a single token.
    internal static readonly int[][] Rows = [.. Enumerable.Range(0, 23).Select(r => Enumerable.Range(0, r % 7 == 3 ? 1 : 5 + r % 6)
        .Select(p => (r * 13 + p * p * 5 + 3) % TinyModels.Vocabulary).ToArray())];

    public static TheoryData<string, ScalarType> Models => new()
    {
        { "gpt2", ScalarType.Float64 }, { "llama", ScalarType.Float32 }, { "parallel", ScalarType.Float64 },
    };

    internal static StreamResult Run(TransformerModel model, StreamPlan plan) => StreamRunner.Run(model, plan);

    // All counted tokens of the rows, one row at a time: [tokens, unit], and where each is.
    internal static (Tensor Values, List<(int Row, int Position)> Places) Everything(
        TransformerModel model, string point, int skip = 0, Func<int, bool>? ignored = null)
    {
        var (parts, places) = (new List<Tensor>(), new List<(int, int)>());
        for (var row = 0; row < Rows.Length; row++)
        {
            using var run = PlanRunner.Run(model, new Plan { Rows = [new Row(Rows[row])], Captures = [new Capture(point)] });
            for (var p = skip; p < Rows[row].Length; p++)
            {
                if (ignored?.Invoke(Rows[row][p]) == true) continue;
                parts.Add(run[point][0, p].clone());
                places.Add((row, p));
            }
        }
        return (stack(parts), places);
    }

    // Of numbers above one, relative to the largest.
    private static void Near(Tensor expected, Tensor actual, double tolerance = 1e-11) =>
        Assert.True(expected.shape.SequenceEqual(actual.shape)
            && Golden.Distance(actual, expected) <= tolerance * Math.Max(1, expected.abs().max().ToDouble()),
            $"[{string.Join(", ", actual.shape)}] is {Golden.Distance(actual, expected)} from [{string.Join(", ", expected.shape)}]");

    [Theory, MemberData(nameof(Models))]
    public void Moments_are_those_of_all_activations(string kind, ScalarType dtype)
    {
        using var model = TinyModels.Make(kind, dtype);
        var tolerance = dtype == ScalarType.Float64 ? 1e-11 : 1e-5;
        using var result = Run(model, new StreamPlan
        {
            Source = new RowSource(Rows), BatchTokens = 40,
            Probes = [new StreamProbe(Z, new Moments(Moment.Covariance), new PositionMoments(true)), new StreamProbe(Post, new Moments(Moment.Variance)),
                new StreamProbe(Resid, new Moments())],
        });
        using var scope = NewDisposeScope();
        foreach (var point in new[] { Z, Post, Resid })
        {
            var (values, places) = Everything(model, point);
            values = values.to(ScalarType.Float64);
            Assert.Equal(values.size(0), result.Tokens);
            Assert.Equal(values.size(0), result[point]["count"].item<long>());
            Near(values.mean([0]), result[point]["mean"], tolerance);
            if (point == Resid) continue;
            var centered = values - values.mean([0]);
            Near(centered.square().mean([0]), result[point]["variance"], tolerance);
            if (point != Z) continue;
            var flat = centered.flatten(1);
            Near(flat.t().mm(flat).DividedBy(values.size(0)), result[point]["covariance"], tolerance);
            for (var p = 0; p < 10; p++)
            {
                var here = values.index_select(0, tensor(places.Index().Where(x => x.Item.Position == p).Select(x => (long)x.Index).ToArray()));
                Assert.Equal(here.size(0), result[point]["position_count"][p].item<long>());
                Near(here.mean([0]), result[point]["position_mean"][p], tolerance);
                Near((here - here.mean([0])).square().mean([0]), result[point]["position_variance"][p], tolerance);
            }
        }
    }

    [Fact]
    public void A_mean_far_from_zero_costs_no_digits()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(3);
        var values = randn([1000, 3], ScalarType.Float64, generator: generator).add(tensor(1e8), Scalars.One);
        using var moments = new MomentsAccumulator(Moment.Variance, new StreamShape("x", [3], 10, CPU));
        foreach (var part in values.split(7)) moments.Add(part, null!);
        var variance = moments.Results().First(r => r.Key == "variance").Value;
        Near(values.var(0, unbiased: false), variance, 1e-7);
    }

    [Fact]
    public void Histograms_are_numpys()
    {
        using var model = TinyModels.Make("gpt2");
        using var result = Run(model, new StreamPlan
        {
            Source = new RowSource(Rows), BatchTokens = 40, SkipFirst = 1, IgnoredTokens = [3, 8],
            Probes = [new StreamProbe(Post, Histogram.Of(-0.1, 0.3, 9))],
        });
        using var scope = NewDisposeScope();
        var (values, _) = Everything(model, Post, 1, t => t is 3 or 8);
        var edges = result[Post]["histogram_edges"].data<double>().ToArray();
        var counts = result[Post]["histogram"];
        var numbers = values.to(ScalarType.Float64);
        for (var unit = 0; unit < 20; unit++)
        {
            var column = numbers[TensorIndex.Colon, unit].data<double>().ToArray();
            for (var bin = 0; bin < 9; bin++)
                Assert.Equal(column.Count(x => x >= edges[bin] && (x < edges[bin + 1] || (bin == 8 && x == edges[9]))), counts[unit, bin].item<long>());
            Assert.Equal(column.Count(x => x < edges[0]), result[Post]["histogram_below"][unit].item<long>());
            Assert.Equal(column.Count(x => x > edges[9]), result[Post]["histogram_above"][unit].item<long>());
        }
    }

    [Fact]
    public void The_last_edge_is_within_and_nothing_else_is()
    {
        using var scope = NewDisposeScope();
        using var counts = new HistogramAccumulator([0, 1, 2], new StreamShape("x", [1], 10, CPU));
        counts.Add(tensor([-1.0, 0, 0.5, 1, 1.5, 2, 2.1, double.NaN, double.NegativeInfinity, double.PositiveInfinity]).view(-1, 1), null!);
        var found = counts.Results().ToDictionary(r => r.Key, r => r.Value);
        long[] bins = [2, 3];
        Assert.Equal(bins, found["histogram"].data<long>().ToArray());
        Assert.Equal(2, found["histogram_below"].item<long>());
        Assert.Equal(3, found["histogram_above"].item<long>());
    }

    [Theory]
    [InlineData(false, false, null)]
    [InlineData(true, false, null)]
    [InlineData(false, true, null)]
    [InlineData(true, false, 0.05)]
    [InlineData(false, false, 0.0)]
    public void Top_examples_are_the_largest_of_all_activations(bool onePerRow, bool smallest, double? above)
    {
        using var model = TinyModels.Make("parallel");
        const int K = 5, Before = 3, After = 2;
        using var result = Run(model, new StreamPlan
        {
            Source = new RowSource(Rows), BatchTokens = 40,
            Probes = [new StreamProbe(Post, new TopExamples(K) { Before = Before, After = After, OnePerRow = onePerRow, Smallest = smallest, Above = above })],
        });
        using var scope = NewDisposeScope();
        var (values, places) = Everything(model, Post);
        var prefix = smallest ? "bottom" : "top";
        for (var unit = 0; unit < 30; unit++)
        {
            var column = values[TensorIndex.Colon, unit].data<double>().ToArray();
            // Stable: of equal ones (ReLU's zeros) the earliest first.
            var ranked = Enumerable.Range(0, column.Length).OrderByDescending(i => smallest ? -column[i] : column[i]).Where(i => above is null || column[i] > above);
            if (onePerRow) ranked = ranked.DistinctBy(i => places[i].Row);
            var best = ranked.Take(K).ToList();
            for (var k = 0; k < K; k++)
            {
                var row = result[Post][$"{prefix}_rows"][unit, k].item<long>();
                var value = result[Post][$"{prefix}_values"][unit, k].item<double>();
                var window = result[Post][$"{prefix}_tokens"][unit, k].data<int>().ToArray();
                if (k >= best.Count)
                {
                    Assert.Equal((-1, double.NaN), (row, value));
                    continue;
                }
                var place = places[best[k]];
                Assert.Equal(place.Row, row);
                Assert.Equal(place.Position, result[Post][$"{prefix}_positions"][unit, k].item<int>());
                // A row alone and the same in a batch differ by rounding.
                Assert.Equal(column[best[k]], value, 1e-12);
                Assert.Equal(Enumerable.Range(place.Position - Before, Before + 1 + After)
                    .Select(p => p >= 0 && p < Rows[place.Row].Length ? Rows[place.Row][p] : -1), window);
            }
        }
    }

    [Fact]
    public void Firing_counts_what_is_above_its_threshold()
    {
        using var model = TinyModels.Make("parallel");
        using var result = Run(model, new StreamPlan
        {
            Source = new RowSource(Rows), BatchTokens = 40, Probes = [new StreamProbe(Post, new Firing(0.02))],
        });
        using var scope = NewDisposeScope();
        var (values, _) = Everything(model, Post);
        using var threshold = 0.02.ToScalar();
        var fires = values.gt(threshold);
        Assert.Equal(values.size(0), result[Post]["firing_tokens"].item<long>());
        Assert.Equal(fires.sum([0]).data<long>().ToArray(), result[Post]["firing_count"].data<long>().ToArray());
        var means = (values * fires.to(ScalarType.Float64)).sum([0]) / fires.sum([0]);
        for (var unit = 0; unit < means.numel(); unit++)
            Assert.Equal(means[unit].item<double>(), result[Post]["firing_mean"][unit].item<double>(), 1e-12);
    }

    [Fact]
    public void Samples_are_activations_and_do_not_depend_on_the_cut()
    {
        using var model = TinyModels.Make("gpt2");
        StreamResult Sample(int batch, int count) => Run(model, new StreamPlan
        {
            Source = new RowSource(Rows), BatchTokens = batch, Probes = [new StreamProbe(Z, new Reservoir(count, 7))],
        });
        using var scope = NewDisposeScope();
        var (values, places) = Everything(model, Z);
        using var some = Sample(40, 17);
        using var others = Sample(10, 17);
        using var all = Sample(40, 1000);
        Assert.Equal(some[Z]["sample_rows"].data<long>().ToArray(), others[Z]["sample_rows"].data<long>().ToArray());
        Near(some[Z]["samples"], others[Z]["samples"]);
        Near(some[Z]["samples"], all[Z]["samples"].narrow(0, 0, 17));
        Assert.Equal(values.size(0), all[Z]["samples"].size(0));
        var drawn = new List<(int, int)>();
        for (var i = 0; i < values.size(0); i++)
        {
            var place = ((int)all[Z]["sample_rows"][i].item<long>(), all[Z]["sample_positions"][i].item<int>());
            Near(values[places.IndexOf(place)], all[Z]["samples"][i]);
            Assert.Equal(Rows[place.Item1][place.Item2], all[Z]["sample_tokens"][i].item<int>());
            drawn.Add(place);
        }
        Assert.Equal(places.Order(), drawn.Order());
    }

    [Fact]
    public void Every_token_is_sampled_as_often()
    {
        using var scope = NewDisposeScope();
        var hits = new int[50];
        var tokens = new CountedTokens([.. Enumerable.Range(0, 10).Select(r => new int[5])], 0, 0, 0, new HashSet<int>());
        var values = tensor(Enumerable.Range(0, 50).Select(i => (double)i).ToArray()).view(-1, 1);
        for (ulong seed = 0; seed < 2000; seed++)
        {
            using var reservoir = new ReservoirAccumulator(new Reservoir(5, seed), new StreamShape("x", [1], 5, CPU));
            reservoir.Add(values, tokens);
            foreach (var sample in reservoir.Results().First().Value.data<double>().ToArray()) hits[(int)sample]++;
        }
        // 200 each; the standard deviation is 13.4.
        Assert.All(hits, count => Assert.InRange(count, 200 - 67, 200 + 67));
    }
}
