using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Models.Weights;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using InteropInterp.Plans.Interventions;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Plans;

/// <summary>TransformerLens 3.9's forward passes on a trained GPT-2: whole, cut, masked, sliced and with hooks that change things.</summary>
public class ForwardGoldenTests
{
    private const double Tolerance = 5e-5;

    private static void With(Action<TransformerModel, Golden> check, bool processed = true)
    {
        using var golden = new Golden(SharedFolder.Path("fixtures", "analysis", "forward.safetensors"));
        using var model = ModelLoader.Load(SharedFolder.Path("fixtures", "models", "gpt2_shakespeare"),
            new LoadOptions { Processing = processed ? ProcessingOptions.Default : ProcessingOptions.None });
        using var scope = NewDisposeScope();
        check(model, golden);
    }

    private static Plan Plan(Golden golden) => new() { Rows = Row.From(golden.Rows("tokens")), Outputs = new Outputs { Logits = LogitsWanted.Last } };

    private static void NearLast(Golden golden, string name, TransformerModel model, Plan plan)
    {
        using var run = PlanRunner.Run(model, plan);
        golden.Near(name, run.Logits!.squeeze(1), Tolerance);
    }

    [Fact]
    public void Logits_losses_and_activations_are_TransformerLenss() => With((model, golden) =>
    {
        var names = golden.Names.Where(n => n.StartsWith("cache/", StringComparison.Ordinal)).Select(n => n["cache/".Length..]).ToList();
        using var run = PlanRunner.Run(model, Plan(golden) with
        {
            Outputs = new Outputs { Logits = LogitsWanted.All, LossPerToken = true }, Captures = [.. names.Select(n => new Capture(n))],
        });
        golden.Near("logits", run.Logits!, Tolerance);
        golden.Near("loss_per_token", run.LossPerToken!, Tolerance);
        foreach (var name in names)
        {
            // The golden holds -1e30 for minus infinity.
            var value = name.EndsWith("attn_scores", StringComparison.Ordinal) ? run[name].nan_to_num(0, neginf: -1e30) : run[name];
            golden.Near($"cache/{name}", value, Tolerance);
        }
    });

    [Fact]
    public void Unprocessed_weights_give_TransformerLenss_logits() =>
        With((model, golden) => NearLast(golden, "raw_logits_last", model, Plan(golden)), processed: false);

    [Fact]
    public void Runs_that_stop_early_and_start_late_are_TransformerLenss() => With((model, golden) =>
    {
        foreach (var layer in new[] { 2, -1 })
        {
            using var stopped = PlanRunner.Run(model, Plan(golden) with { Outputs = Outputs.None, StopAtLayer = layer });
            golden.Near($"stop_at_layer_{layer}", stopped.Residual!, Tolerance);
            if (layer < 0) continue;
            using var run = PlanRunner.Run(model, new Plan { Residual = stopped.Residual, StartAtLayer = 2, Outputs = new Outputs { Logits = LogitsWanted.Last } });
            golden.Near("start_at_layer_2_from_stop", run.Logits!.squeeze(1), Tolerance);
        }
        NearLast(golden, "start_at_layer_-1_zero", model, new Plan
        {
            Residual = zeros(1, 3, 128), StartAtLayer = -1, Outputs = new Outputs { Logits = LogitsWanted.Last },
        });
    });

    [Fact]
    public void Masked_tokens_and_sliced_positions_are_TransformerLenss() => With((model, golden) =>
    {
        var mask = golden["own_mask"].flatten().to(ScalarType.Int64).data<long>().ToArray();
        using var run = PlanRunner.Run(model, Plan(golden) with
        {
            Rows = [new Row(golden.Rows("tokens")[0]) { Mask = [.. mask.Select(m => m == 1)] }],
            Captures = [new Capture("blocks.0.attn.hook_pattern"), new Capture("hook_pos_embed")],
        });
        golden.Near("own_mask/logits_last", run.Logits!.squeeze(1), Tolerance);
        golden.Near("own_mask/pattern0", run["blocks.0.attn.hook_pattern"], Tolerance);
        golden.Near("own_mask/pos_embed", run["hook_pos_embed"], Tolerance);
        foreach (var (name, positions) in new[] { ("-1", Positions.At(-1)), ("(1, 4)", Positions.Slice(1, 4)) })
            foreach (var point in new[] { "blocks.1.attn.hook_pattern", "blocks.1.hook_resid_post" })
            {
                using var sliced = PlanRunner.Run(model, Plan(golden) with { Captures = [new Capture(point) { Where = new Selector { Positions = positions } }] });
                golden.Near($"pos_slice/{name}/{point}", sliced[point], Tolerance);
            }
    });

    [Fact]
    public void Interventions_give_what_TransformerLenss_hooks_give() => With((model, golden) =>
    {
        void Near(string name, Intervention intervention, ModelFlags? flags = null) => NearLast(golden, name, model, Plan(golden) with
        {
            Interventions = [intervention], Flags = flags ?? ModelFlags.None,
        });
        Near("run_with_hooks/zero_head_L1H1", new Intervention("blocks.1.attn.hook_z", new ZeroOp()) { Where = new Selector { Heads = Positions.At(1) } });
        Near("run_with_hooks/resid_scaled", new Intervention("blocks.2.hook_resid_pre", new ScaleOp(1.5)));
        // Region axes: queries, heads, keys.
        var uniform = ones(22, 22).tril() / ones(22, 22).tril().sum(-1, keepdim: true);
        Near("run_with_hooks/pattern_uniform", new Intervention("blocks.0.attn.hook_pattern", new SetOp(uniform.unsqueeze(1))));
        Near("split_qkv/q_input_zeroed_L1H2",
            new Intervention("blocks.1.hook_q_input", new ZeroOp()) { Where = new Selector { Heads = Positions.At(2) } }, new ModelFlags { UseSplitQkvInput = true });
        Near("mlp_in_zeroed_1", new Intervention("blocks.1.hook_mlp_in", new ZeroOp()), new ModelFlags { UseHookMlpIn = true });
        using var run = PlanRunner.Run(model, Plan(golden) with { Flags = new ModelFlags { UseAttnResult = true }, Captures = [new Capture("blocks.1.attn.hook_result")] });
        golden.Near("attn_result", run["blocks.1.attn.hook_result"], Tolerance);
    });
}
