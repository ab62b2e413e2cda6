using InteropInterp.Caches;
using InteropInterp.Models;
using InteropInterp.Models.Weights;
using InteropInterp.Plans;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Caches;

/// <summary>TransformerLens 3.9's ActivationCache on a trained GPT-2, call by call.</summary>
public class CacheGoldenTests
{
    private const double Tolerance = 2e-5;
    private const int Answer = 881, Wrong = 720;

    private static readonly Positions LastPosition = Positions.At(-1);
    private static readonly StackOptions End = new(), AtLast = new() { Positions = LastPosition };
    private static readonly StackOptions Scaled = new() { ApplyNorm = true }, ScaledAtLast = new() { ApplyNorm = true, Positions = LastPosition };

    private static void With(Action<ActivationCache, Golden> check, bool processed = true)
    {
        using var golden = new Golden(SharedFolder.Path("fixtures", "analysis", "cache.safetensors"));
        using var model = ModelLoader.Load(SharedFolder.Path("fixtures", "models", "gpt2_shakespeare"),
            new LoadOptions { Processing = processed ? ProcessingOptions.Default : ProcessingOptions.None });
        var plan = new Plan { Rows = Row.From(golden.Rows("tokens")), Captures = [new Capture("*")] };
        using var run = PlanRunner.Run(model, plan);
        using var cache = ActivationCache.Of(model, plan, run);
        using var scope = NewDisposeScope();
        check(cache, golden);
    }

    // One position keeps its axis here, and loses it in TransformerLens.
    private static void Near(Golden golden, string name, ResidualComponents actual, bool dropsPosition = false)
    {
        using (actual)
        {
            using var values = dropsPosition ? actual.Values.squeeze(2) : actual.Values.alias();
            golden.Near(name, values, Tolerance);
            Assert.Equal(actual.Labels.Count, actual.Values.size(0));
        }
    }

    [Fact]
    public void Decompositions_are_TransformerLenss() => With((cache, golden) =>
    {
        ResidualComponents Decompose(StackOptions options, ResidualParts parts = ResidualParts.All) => cache.DecomposeResidual(options, parts);
        Near(golden, "decompose_resid()", Decompose(End));
        Near(golden, "decompose_resid(layer=2)", Decompose(new() { Layer = 2 }));
        Near(golden, "decompose_resid(layer=2, mlp_input=True)", Decompose(new() { Layer = 2, MlpInput = true }));
        Near(golden, "decompose_resid(mode='attn')", Decompose(End, ResidualParts.Embeddings | ResidualParts.Attention));
        Near(golden, "decompose_resid(mode='mlp')", Decompose(End, ResidualParts.Embeddings | ResidualParts.Mlp));
        Near(golden, "decompose_resid(mode='all', apply_ln=True)", Decompose(Scaled));
        Near(golden, "decompose_resid(layer=1, apply_ln=True)", Decompose(new() { Layer = 1, ApplyNorm = true }));
        Near(golden, "decompose_resid(layer=1, apply_ln=True, mlp_input=True)", Decompose(new() { Layer = 1, ApplyNorm = true, MlpInput = true }));
        Near(golden, "decompose_resid(incl_embeds=False)", Decompose(End, ResidualParts.Attention | ResidualParts.Mlp));
        Near(golden, "decompose_resid(pos_slice=-1)", Decompose(AtLast), true);
        Near(golden, "decompose_resid(pos_slice=(1, 3))", Decompose(new() { Positions = Positions.Slice(1, 3) }));
        Near(golden, "decompose_resid(pos_slice=[0, 2])", Decompose(new() { Positions = Positions.At(0, 2) }));
        Near(golden, "decompose_resid(pos_slice=-1, apply_ln=True)", Decompose(ScaledAtLast), true);
        Near(golden, "decompose_resid(layer=0)", Decompose(new() { Layer = 0 }));
    });

    [Fact]
    public void Accumulated_streams_are_TransformerLenss() => With((cache, golden) =>
    {
        Near(golden, "accumulated_resid()", cache.AccumulatedResidual());
        Near(golden, "accumulated_resid(layer=2)", cache.AccumulatedResidual(new() { Layer = 2 }));
        Near(golden, "accumulated_resid(incl_mid=True)", cache.AccumulatedResidual(includeMiddle: true));
        Near(golden, "accumulated_resid(apply_ln=True)", cache.AccumulatedResidual(Scaled));
        Near(golden, "accumulated_resid(apply_ln=True, incl_mid=True, layer=2)", cache.AccumulatedResidual(new() { Layer = 2, ApplyNorm = true }, true));
        Near(golden, "accumulated_resid(layer=1, apply_ln=True)", cache.AccumulatedResidual(new() { Layer = 1, ApplyNorm = true }));
        Near(golden, "accumulated_resid(pos_slice=-1)", cache.AccumulatedResidual(AtLast), true);
        Near(golden, "accumulated_resid(layer=2, mlp_input=True)", cache.AccumulatedResidual(new() { Layer = 2, MlpInput = true }));
        Near(golden, "accumulated_resid(layer=1, mlp_input=True, incl_mid=True)", cache.AccumulatedResidual(new() { Layer = 1, MlpInput = true }, true));
        Near(golden, "accumulated_resid(pos_slice=-1, apply_ln=True)", cache.AccumulatedResidual(ScaledAtLast), true);
        Near(golden, "apply_ln_to_stack(recompute_ln)", cache.AccumulatedResidual(Scaled));
        using var streams = cache.AccumulatedResidual(new() { Layer = 1, MlpInput = true }, includeMiddle: true);
        Assert.Equal(["0_pre", "0_mid", "1_pre", "1_mid"], streams.Labels);
        using var all = cache.AccumulatedResidual();
        Assert.Equal(["0_pre", "1_pre", "2_pre", "3_pre", "final_post"], all.Labels);
    });

    [Fact]
    public void Heads_are_TransformerLenss() => With((cache, golden) =>
    {
        Near(golden, "stack_head_results()", cache.StackHeadResults());
        Near(golden, "stack_head_results(layer=2)", cache.StackHeadResults(new() { Layer = 2 }));
        Near(golden, "stack_head_results(layer=2, incl_remainder=True)", cache.StackHeadResults(new() { Layer = 2 }, true));
        Near(golden, "stack_head_results(pos_slice=-1, incl_remainder=True)", cache.StackHeadResults(AtLast, true), true);
        Near(golden, "stack_head_results(pos_slice=-1, apply_ln=True)", cache.StackHeadResults(ScaledAtLast), true);
        Near(golden, "stack_head_results(layer=1, apply_ln=True)", cache.StackHeadResults(new() { Layer = 1, ApplyNorm = true }));
        Near(golden, "stack_head_results(layer=0)", cache.StackHeadResults(new() { Layer = 0 }));
        using var result = cache.HeadResult(1);
        golden.Near("compute_head_results/blocks.1.attn.hook_result", result, Tolerance);
        using var patterns = cache.StackActivation("pattern");
        golden.Near("stack_activation(pattern)", patterns, Tolerance);
        using var z = cache.StackActivation("z", before: 2);
        golden.Near("stack_activation(z, layer=2)", z, Tolerance);
        using var scales = cache.StackActivation("scale", layerType: "ln1");
        golden.Near("stack_activation(scale, ln1)", scales, Tolerance);
    });

    [Fact]
    public void Neurons_are_TransformerLenss() => With((cache, golden) =>
    {
        using var slice = cache.NeuronResult(1, Positions.Slice(0, 6));
        golden.Near("get_neuron_results(1, slice(0,6))", slice, Tolerance);
        using var some = cache.NeuronResult(1, Positions.At(3, 9), LastPosition);
        golden.Near("get_neuron_results(1, [3, 9], pos_slice=-1)", some.squeeze(1), Tolerance);
        using var direction = LogitDirections.Of(cache.Model, Answer, Wrong);
        golden.Near("direction", direction, Tolerance);
        using var projected = cache.NeuronResult(1, null, LastPosition, direction);
        golden.Near("get_neuron_results(projected)", projected.squeeze(1), Tolerance);
        var four = Positions.Slice(0, 4);
        Near(golden, "stack_neuron_results(2, neuron_slice=(0,4))", cache.StackNeuronResults(new() { Layer = 2 }, four));
        Near(golden, "stack_neuron_results(2, incl_remainder)", cache.StackNeuronResults(AtLast with { Layer = 2 }, four, true), true);
        Near(golden, "stack_neuron_results(-1, projected)", cache.StackNeuronResults(AtLast, projectOnto: direction), true);
        Near(golden, "stack_neuron_results(-1, projected, apply_ln)", cache.StackNeuronResults(ScaledAtLast, projectOnto: direction), true);
        Near(golden, "stack_neuron_results(1, apply_ln)", cache.StackNeuronResults(ScaledAtLast with { Layer = 1 }, four), true);
    });

    [Fact]
    public void Full_decompositions_are_TransformerLenss() => With((cache, golden) =>
    {
        Near(golden, "get_full_resid_decomposition(expand_neurons=False)", cache.FullResidualDecomposition(End, false));
        Near(golden, "get_full_resid_decomposition(expand_neurons=False, apply_ln=True)", cache.FullResidualDecomposition(Scaled, false));
        Near(golden, "get_full_resid_decomposition(layer=2, expand_neurons=False, mlp_input=True)",
            cache.FullResidualDecomposition(new() { Layer = 2, MlpInput = true }, false));
        Near(golden, "get_full_resid_decomposition(expand_neurons=False, pos_slice=-1)", cache.FullResidualDecomposition(AtLast, false), true);
        Near(golden, "get_full_resid_decomposition(layer=0, expand_neurons=False)", cache.FullResidualDecomposition(new() { Layer = 0 }, false));
        Near(golden, "get_full_resid_decomposition(layer=1, expand_neurons=True, pos_slice=-1)", cache.FullResidualDecomposition(AtLast with { Layer = 1 }), true);
        using var direction = LogitDirections.Of(cache.Model, Answer, Wrong);
        Near(golden, "get_full_resid_decomposition(projected)", cache.FullResidualDecomposition(AtLast, projectOnto: direction), true);
        Near(golden, "get_full_resid_decomposition(projected, apply_ln)", cache.FullResidualDecomposition(ScaledAtLast, projectOnto: direction), true);
        using var labelled = cache.FullResidualDecomposition(AtLast with { Layer = 2 });
        Assert.Equal(1035, labelled.Labels.Count);
        Assert.Equal(["L1H2", "L1H3", "L0N0", "L0N1", "L0N2"], labelled.Labels.Skip(6).Take(5));
        Assert.Equal(["L1N510", "L1N511", "embed", "pos_embed", "bias"], labelled.Labels.TakeLast(5));
    });

    [Fact]
    public void Norms_of_stacks_and_logit_attributions_are_TransformerLenss() => With((cache, golden) =>
    {
        void NearNormed(string name, StackOptions options)
        {
            using var stack = cache.DecomposeResidual(options);
            using var normed = cache.ApplyNorm(stack.Values, options);
            golden.Near(name, options.Positions.IsAll ? normed : normed.squeeze(2), Tolerance);
        }
        NearNormed("apply_ln_to_stack(final)", End);
        NearNormed("apply_ln_to_stack(layer=1)", new() { Layer = 1 });
        NearNormed("apply_ln_to_stack(layer=1, mlp_input)", new() { Layer = 1, MlpInput = true });
        NearNormed("apply_ln_to_stack(pos_slice)", AtLast);

        using var all = cache.DecomposeResidual();
        using var last = cache.DecomposeResidual(AtLast);
        Tensor answer = tensor((long)Answer), wrong = tensor((long)Wrong);
        void NearAttributed(string name, Tensor stack, Tensor tokens, Tensor? incorrect = null, Positions? positions = null)
        {
            using var attributed = cache.LogitAttributions(stack, tokens, incorrect, positions);
            golden.Near(name, positions is null ? attributed : attributed.squeeze(2), Tolerance);
        }
        var tokens = golden["tokens"].to(ScalarType.Int64);
        NearAttributed("logit_attrs(answer)", all.Values, answer);
        NearAttributed("logit_attrs(answer, wrong)", all.Values, answer, wrong);
        NearAttributed("logit_attrs(int, int)", all.Values, answer, wrong);
        NearAttributed("logit_attrs(tensor, tensor)", all.Values, tensor(new[] { (long)Answer }), tensor(new[] { (long)Wrong }));
        NearAttributed("logit_attrs(pos_slice=-1)", last.Values, answer, wrong, LastPosition);
        NearAttributed("logit_attrs(tensor of every position)", all.Values, tokens, tokens.flip(1));

        using var without = cache.WithoutBatch();
        using var stack = without.DecomposeResidual();
        using var attributions = without.LogitAttributions(stack.Values, answer, wrong);
        golden.Near("logit_attrs(has_batch_dim=False)", attributions, Tolerance);
    });

    [Fact]
    public void An_unprocessed_model_gives_TransformerLenss_stacks() => With((cache, golden) =>
    {
        Near(golden, "raw/decompose_resid(apply_ln=True, pos_slice=-1)", cache.DecomposeResidual(ScaledAtLast), true);
        Near(golden, "raw/accumulated_resid(apply_ln=True, pos_slice=-1)", cache.AccumulatedResidual(ScaledAtLast), true);
        Near(golden, "raw/decompose_resid(layer=1, apply_ln=True, pos_slice=-1)", cache.DecomposeResidual(ScaledAtLast with { Layer = 1 }), true);
        Near(golden, "raw/accumulated_resid(layer=1, apply_ln=True, pos_slice=-1)", cache.AccumulatedResidual(ScaledAtLast with { Layer = 1 }), true);
        // TransformerLens's logit_attrs leaves the norm's weight out; ours has it (ResidualIdentityTests).
        using var stack = cache.DecomposeResidual(ScaledAtLast);
        var unembed = cache.Model.Weights.Unembed;
        golden.Near("raw/logit_attrs", (stack.Values.squeeze(2) * (unembed[Answer] - unembed[Wrong])).sum(-1), Tolerance);
    }, processed: false);

    [Fact]
    public void Accumulated_biases_are_TransformerLenss()
    {
        using var golden = new Golden(SharedFolder.Path("fixtures", "analysis", "heads.safetensors"));
        With((cache, _) =>
        {
            foreach (var layer in new[] { 0, 2, 4 })
            {
                using var bias = cache.Model.AccumulatedBias(new() { Layer = layer });
                golden.Near($"accumulated_bias(layer={layer})", bias, Tolerance);
            }
            using var middle = cache.Model.AccumulatedBias(new() { Layer = 2, MlpInput = true });
            golden.Near("accumulated_bias(layer=2, mlp_input=True)", middle, Tolerance);
            using var attention = cache.Model.AccumulatedBias(new() { Layer = 2 }, includeMlp: false);
            golden.Near("accumulated_bias(layer=2, include_mlp_biases=False)", attention, Tolerance);
        });
    }

    [Fact]
    public void An_attention_only_model_gives_TransformerLenss_numbers_and_what_it_refuses()
    {
        using var golden = new Golden(SharedFolder.Path("fixtures", "analysis", "attn2l.safetensors"));
        using var model = ModelLoader.Load(SharedFolder.Path("models", "04_induction_attn2L", "derived", "induction_head_infinite.safetensors"),
            new LoadOptions { Processing = ProcessingOptions.None });
        var plan = new Plan { Rows = Row.From(golden.Rows("tokens")), Captures = [new Capture("*")] };
        using var run = PlanRunner.Run(model, plan);
        using var cache = ActivationCache.Of(model, plan, run);
        using var scope = NewDisposeScope();
        Near(golden, "decompose_resid()", cache.DecomposeResidual());
        Near(golden, "decompose_resid(mode='attn')", cache.DecomposeResidual(End, ResidualParts.Embeddings | ResidualParts.Attention));
        Near(golden, "decompose_resid(apply_ln=True, pos_slice=-1)", cache.DecomposeResidual(ScaledAtLast), true);
        Near(golden, "accumulated_resid", cache.AccumulatedResidual());
        Near(golden, "stack_head_results", cache.StackHeadResults(AtLast, true), true);
        Near(golden, "get_full_resid_decomposition(expand_neurons=False)", cache.FullResidualDecomposition(AtLast, false), true);
        Near(golden, "get_full_resid_decomposition(expand_neurons=False)", cache.FullResidualDecomposition(AtLast), true);
        using var bias = model.AccumulatedBias();
        golden.Near("accumulated_bias(2, include_mlp_biases=False)", bias, Tolerance);
    }
}
