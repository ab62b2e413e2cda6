using InteropInterp.Caches;
using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Plans;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Caches;

public class ActivationCacheTests
{
    private static ActivationCache Cache(TransformerModel model, IReadOnlyList<Row> rows, params string[] points)
    {
        var plan = new Plan { Rows = rows, Captures = [.. points.Select(p => new Capture(p))] };
        using var run = PlanRunner.Run(model, plan);
        return ActivationCache.Of(model, plan, run);
    }

    private static string Reason(Action action) => Assert.Throws<InterpException>(action).Reason;

    [Fact]
    public void Names_may_be_short_full_aliased_or_counted_from_the_end()
    {
        using var model = TinyModels.Make("gpt2");
        using var cache = Cache(model, [new([1, 2, 3])], "*");
        Assert.Equal(new HookCatalogue(model.Config, ModelFlags.None).Names, cache.Names);
        foreach (var same in new[] { cache["blocks.2.attn.hook_q"], cache["q2"], cache["q", 2], cache["q", -1], cache["query", 2], cache["blocks.2.attn.q.hook_out"] })
            Assert.Same(cache["q", 2], same);
        Assert.Same(cache["blocks.1.ln1.hook_scale"], cache["scale", 1, "ln1"]);
        Assert.Same(cache["hook_embed"], cache["embed"]);
        Assert.Same(cache["ln_final.hook_scale"], cache["scale"]);
        Assert.True(cache.Contains("k6a") is false && cache.Contains("pattern1"));
    }

    [Fact]
    public void What_is_not_there_is_named()
    {
        using var model = TinyModels.Make("gpt2");
        using var cache = Cache(model, [new([1, 2, 3]), new([4, 5, 6])], "blocks.0.hook_resid_pre");
        Assert.Equal("NOT_CACHED", Reason(() => _ = cache["q", 2]));
        var unknown = Assert.Throws<InterpException>(() => cache["blocks.0.hook_resid_prr"]);
        Assert.Equal("UNKNOWN_HOOK_POINT", unknown.Reason);
        Assert.Contains("blocks.0.hook_resid_pre", unknown.Suggestions);
        Assert.Equal("LAYER_OUT_OF_RANGE", Reason(() => _ = cache["q", 3]));
        Assert.Equal("LAYER_OUT_OF_RANGE", Reason(() => cache.DecomposeResidual(new() { Layer = 4 })));
        Assert.Equal("NO_MLP_INPUT", Reason(() => cache.DecomposeResidual(new() { Layer = 3, MlpInput = true })));
        Assert.Equal("BATCH_NOT_ONE", Reason(() => cache.WithoutBatch()));
        Assert.Equal("ROW_OUT_OF_RANGE", Reason(() => cache.SelectRows(Positions.At(2))));
        Assert.Equal("NOT_CACHED", Reason(() => cache.StackHeadResults()));
        using var attention = TinyModels.Make("attention");
        using var few = Cache(attention, [new([1, 2])], "*");
        Assert.Equal("NO_MLP", Reason(() => few.StackNeuronResults()));
        Assert.Equal("NOTHING_TO_STACK", Reason(() => few.DecomposeResidual(null, ResidualParts.Mlp)));
        using var scope = NewDisposeScope();
        Assert.Equal("DIRECTION_SHAPE", Reason(() => few.StackHeadResults(projectOnto: ones(5, ScalarType.Float64))));
        Assert.Equal("TOKEN_OUT_OF_RANGE", Reason(() => LogitDirections.Of(attention, 40)));
        using var all = few.DecomposeResidual();
        using var one = few.DecomposeResidual(new() { Positions = Positions.At(-1) });
        Assert.Equal("TOKENS_SHAPE", Reason(() => few.LogitAttributions(all.Values, tensor(new[] { 1L, 2L, 3L }))));
        Assert.Equal("POSITION_OUT_OF_RANGE", Reason(() => few.DecomposeResidual(new() { Positions = Positions.At(2) })));
    }

    [Fact]
    public void A_stack_of_other_positions_than_its_scales_is_refused()
    {
        // TransformerLens divides every position by the last one's scale.
        using var model = TinyModels.Make("gpt2");
        using var cache = Cache(model, [new([1, 2, 3])], "*");
        using var scope = NewDisposeScope();
        using var all = cache.DecomposeResidual();
        Assert.Equal("STACK_SHAPE", Reason(() => cache.LogitAttributions(all.Values, tensor(3L), positions: Positions.At(-1))));
    }

    [Fact]
    public void Rows_can_be_chosen_and_the_batch_axis_dropped()
    {
        using var model = TinyModels.Make("gpt2");
        using var cache = Cache(model, [new([1, 2, 3]), new([4, 5]), new([6, 7, 8])], "*resid_post");
        using var second = cache.SelectRows(Positions.At(1));
        Assert.Equal([new RowSpan(0, 2)], second.Spans);
        using var others = cache.SelectRows(Positions.Slice(1));
        Assert.Equal([2, 3, 16], others["resid_post", 0].shape);
        using var one = second.WithoutBatch();
        Assert.Equal([3, 16], one["resid_post", 0].shape);
        Assert.False(one.HasBatch);
        using var again = one.WithoutBatch();
        Assert.Equal([3, 16], again["resid_post", 0].shape);
    }

    [Fact]
    public void A_run_of_a_facade_fills_a_cache_that_can_be_moved()
    {
        using var model = HookedTransformer.FromConfig(TinyModels.Config("gpt2"));
        using var cache = ActivationCache.Run(model, [new([1, 2, 3])], "*hook_resid_pre", "*scale");
        Assert.Equal(3 + 7, cache.Names.Count);
        using var moved = cache.To("cpu");
        using var copied = moved.SelectRows(Positions.All);
        cache.Dispose();
        Assert.Equal([1, 3, 16], copied["resid_pre", 2].shape);
        Assert.Equal("DEVICE_NOT_PRESENT", Reason(() => copied.To("cuda:0")));
    }

    [Fact]
    public void Captured_positions_of_rows_of_different_length_are_counted_as_captured()
    {
        using var model = TinyModels.Make("gpt2");
        var plan = new Plan
        {
            Rows = [new([1, 2, 3]), new([4, 5])], Captures = [new Capture("*") { Where = new Selector { Positions = Positions.At(0, -1) } }],
        };
        using var run = PlanRunner.Run(model, plan);
        using var cache = ActivationCache.Of(model, plan, run);
        using var last = cache.DecomposeResidual(new() { Positions = Positions.At(-1) });
        using var scope = NewDisposeScope();
        Assert.InRange(Golden.Distance(last.Values.sum([0]), cache["resid_post", 2].narrow(1, 1, 1)), 0, 1e-12);
        using var wrong = new ActivationCache(model, run.Captures, spans: [new RowSpan(0, 3), new RowSpan(0, 2)]);
        Assert.Equal("ROW_SPANS", Reason(() => wrong.DecomposeResidual(new() { Positions = Positions.At(-1) })));
    }

    [Fact]
    public void Scales_that_were_not_kept_are_taken_from_the_stream()
    {
        foreach (var kind in new[] { "gpt2", "llama" })
        {
            using var model = TinyModels.Make(kind);
            using var full = Cache(model, [new([1, 2, 3])], "*");
            using var part = Cache(model, [new([1, 2, 3])], "*resid*", "*_out", "hook_*embed");
            using var expected = full.DecomposeResidual(new() { ApplyNorm = true, Layer = 1 });
            using var actual = part.DecomposeResidual(new() { ApplyNorm = true, Layer = 1 });
            Assert.InRange(Golden.Distance(actual.Values, expected.Values), 0, 1e-12);
        }
    }

    [Fact]
    public void A_saved_cache_is_the_cache_that_is_loaded()
    {
        using var folder = new TemporaryFolder();
        using var model = TinyModels.Make("llama");
        using var cache = Cache(model, [new([1, 2, 3]), new([4, 5])], "*");
        cache.Save(folder.File("cache.safetensors"));
        using var loaded = ActivationCache.Load(folder.File("cache.safetensors"), model);
        Assert.Equal(cache.Names.Order(), loaded.Names.Order());
        Assert.Equal((cache.HasBatch, true), (loaded.HasBatch, cache.Spans!.SequenceEqual(loaded.Spans!)));
        foreach (var name in cache.Names) Assert.Equal(0, Golden.Distance(cache[name], loaded[name]));
        using var row = cache.SelectRows(Positions.At(0));
        using var flat = row.WithoutBatch();
        flat.Save(folder.File("flat.safetensors"));
        using var back = ActivationCache.Load(folder.File("flat.safetensors"), model);
        Assert.False(back.HasBatch);
        using var scope = NewDisposeScope();
        InteropInterp.Tensors.SafeTensors.Save(folder.File("other.safetensors"), new Dictionary<string, Tensor> { ["a"] = ones(2) });
        Assert.Equal("CACHE_INVALID", Reason(() => ActivationCache.Load(folder.File("other.safetensors"), model)));
    }
}
