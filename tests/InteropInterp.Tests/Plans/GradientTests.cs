using InteropInterp.Hooks;
using InteropInterp.Models;
using InteropInterp.Plans;
using InteropInterp.Plans.Interventions;
using InteropInterp.Plans.Metrics;
using TorchSharp;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Plans;

/// <summary>Gradients at every hook point against finite differences of the objective, in float64.</summary>
public class GradientTests
{
    private static readonly Row[] Rows = [new([3, 1, 4, 1, 5]), new([9, 2, 6, 5, 3])];
    private static readonly Metric Difference = new LogitDiff([7, 2], [1, 8]);

    private static double Value(TransformerModel model, Metric metric, IReadOnlyList<Intervention> interventions, ModelFlags? flags = null)
    {
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = Rows,
            Flags = flags ?? ModelFlags.None,
            Interventions = interventions,
            Objective = new Objective { Metric = metric },
        });
        using var scope = NewDisposeScope();
        return run.Metric!.mean().item<double>();
    }

    public static TheoryData<string, string> Cases
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (var kind in TinyModels.Kinds)
                foreach (var metric in new[] { "logit_diff", "log_prob", "loss" }) data.Add(kind, metric);
            return data;
        }
    }

    private static Metric MetricOf(string name) => name switch
    {
        "logit_diff" => Difference,
        "log_prob" => new LogProb([7, 2]) { Position = 3 },
        _ => new Loss(),
    };

    [Theory, MemberData(nameof(Cases))]
    public void Every_points_gradient_is_the_derivative_of_the_objective(string kind, string metricName)
    {
        using var model = TinyModels.Make(kind);
        var metric = MetricOf(metricName);
        var points = new HookCatalogue(model.Config, ModelFlags.None).Points;
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = Rows,
            Objective = new Objective { Metric = metric },
            Captures = [.. points.Select(p => new Capture(p.Name) { Gradient = true })],
        });
        using var generator = new Generator(5);
        foreach (var point in points)
        {
            using var scope = NewDisposeScope();
            var gradient = run[point.Name + "_grad"];
            // Along one random direction; masked scores are -inf, where nothing moves.
            var direction = randn(gradient.shape, ScalarType.Float64, generator: generator);
            var isAttention = point.Info.Axes.Contains(HookAxis.KeyPosition);
            const double step = 1e-5;
            // An added value has the region's axes: positions before heads.
            var region = isAttention ? direction.transpose(1, 2) : direction;
            var up = Value(model, metric, [new Intervention(point.Name, new AddOp(region, step))]);
            var down = Value(model, metric, [new Intervention(point.Name, new AddOp(region, -step))]);
            var expected = (up - down) / (2 * step);
            var actual = (gradient * direction).sum().item<double>();
            Assert.True(Math.Abs(expected - actual) <= 1e-6 * (1 + Math.Abs(expected)), $"{point.Name}: {actual:G6}, finite difference {expected:G6}");
        }
    }

    [Fact]
    public void Interventions_are_differentiated_through()
    {
        using var model = TinyModels.Make("gpt2");
        using var direction = randn(16, ScalarType.Float64);
        using var two = randn(2, 16, dtype: ScalarType.Float64);
        Intervention[] edits =
        [
            new("blocks.1.hook_resid_pre", new ScaleOp(1.7)),
            new("blocks.1.hook_resid_pre", new ProjectOp(two)),
            new("blocks.1.attn.hook_z", new ZeroOp()) { Where = new Selector { Heads = Positions.At(1), Positions = Positions.At(-1, 2) } },
            new("blocks.2.hook_mlp_out", new AddOp(direction)),
        ];
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = Rows,
            Interventions = edits,
            Objective = new Objective { Metric = Difference },
            Captures = [new Capture("blocks.0.hook_resid_post") { Gradient = true }],
        });
        using var scope = NewDisposeScope();
        var along = randn(2, 5, 16, dtype: ScalarType.Float64);
        const double step = 1e-5;
        var up = Value(model, Difference, [new("blocks.0.hook_resid_post", new AddOp(along, step)), .. edits]);
        var down = Value(model, Difference, [new("blocks.0.hook_resid_post", new AddOp(along, -step)), .. edits]);
        Assert.Equal((up - down) / (2 * step), (run["blocks.0.hook_resid_post_grad"] * along).sum().item<double>(), 1e-6);
    }

    [Fact]
    public void A_backward_intervention_changes_every_gradient_below_it_and_none_above()
    {
        using var model = TinyModels.Make("llama");
        Plan Plan(params Intervention[] edits) => new()
        {
            Rows = Rows,
            Interventions = edits,
            Objective = new Objective { Metric = Difference },
            Captures = [.. Enumerable.Range(0, 3).Select(l => new Capture($"blocks.{l}.hook_resid_post") { Gradient = true })],
        };
        using var plain = PlanRunner.Run(model, Plan());
        using var scaled = PlanRunner.Run(model, Plan(new Intervention("blocks.1.hook_resid_post", new ScaleOp(3)) { Gradient = true }));
        using var called = PlanRunner.Run(model, Plan(new Intervention("blocks.1.hook_resid_post", new CallbackOp((g, _) => g.mul(g))) { Gradient = true }));
        using var scope = NewDisposeScope();
        using var three = 3.0.ToScalar();
        Assert.Equal(0, Golden.Distance(scaled["blocks.2.hook_resid_post_grad"], plain["blocks.2.hook_resid_post_grad"]), 1e-14);
        // What is captured is what goes on: the edit comes first.
        foreach (var l in new[] { 1, 0 })
            Assert.Equal(0, Golden.Distance(scaled[$"blocks.{l}.hook_resid_post_grad"], plain[$"blocks.{l}.hook_resid_post_grad"].mul(three)), 1e-12);
        Assert.Equal(0, Golden.Distance(called["blocks.1.hook_resid_post_grad"], plain["blocks.1.hook_resid_post_grad"].square()), 1e-12);
    }

    [Fact]
    public void Given_cotangents_give_the_vector_Jacobian_product()
    {
        using var model = TinyModels.Make("gpt2");
        using var scope = NewDisposeScope();
        var atZ = randn(2, 5, 4, 4, dtype: ScalarType.Float64);
        var atEnd = randn(2, 5, 16, dtype: ScalarType.Float64);
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = Rows,
            Objective = new Objective { Cotangents = new Dictionary<string, Tensor> { ["blocks.1.attn.hook_z"] = atZ, ["blocks.2.hook_resid_post"] = atEnd } },
            Captures = [new Capture("blocks.0.hook_resid_pre") { Gradient = true }],
        });
        double Product(Tensor along, double step)
        {
            using var moved = PlanRunner.Run(model, new Plan
            {
                Rows = Rows,
                Interventions = [new("blocks.0.hook_resid_pre", new AddOp(along, step))],
                Captures = [new Capture("blocks.1.attn.hook_z"), new Capture("blocks.2.hook_resid_post")],
            });
            return (moved["blocks.1.attn.hook_z"] * atZ).sum().item<double>() + (moved["blocks.2.hook_resid_post"] * atEnd).sum().item<double>();
        }
        var direction = randn(2, 5, 16, dtype: ScalarType.Float64);
        var expected = (Product(direction, 1e-5) - Product(direction, -1e-5)) / 2e-5;
        Assert.Equal(1, (run["blocks.0.hook_resid_pre_grad"] * direction).sum().item<double>() / expected, 1e-6);
    }

    [Fact]
    public void Split_inputs_and_head_results_have_gradients_too()
    {
        using var model = TinyModels.Make("llama");
        var flags = new ModelFlags { UseSplitQkvInput = true, UseAttnResult = true, UseHookMlpIn = true };
        string[] points = ["blocks.1.hook_q_input", "blocks.1.hook_k_input", "blocks.1.hook_v_input", "blocks.1.attn.hook_result", "blocks.1.hook_mlp_in"];
        using var run = PlanRunner.Run(model, new Plan
        {
            Rows = Rows,
            Flags = flags,
            Objective = new Objective { Metric = Difference },
            Captures = [.. points.Select(p => new Capture(p) { Gradient = true })],
        });
        using var scope = NewDisposeScope();
        foreach (var point in points)
        {
            var along = randn(run[point + "_grad"].shape, ScalarType.Float64);
            var up = Value(model, Difference, [new(point, new AddOp(along, 1e-5))], flags);
            var down = Value(model, Difference, [new(point, new AddOp(along, -1e-5))], flags);
            Assert.Equal((up - down) / 2e-5, (run[point + "_grad"] * along).sum().item<double>(), 1e-6);
        }
    }

    [Fact]
    public void A_callback_that_edits_below_the_objective_is_refused_one_that_looks_is_not()
    {
        using var model = TinyModels.Make("gpt2");
        Plan Plan(Func<Tensor, CallbackContext, Tensor?> function) => new()
        {
            Rows = Rows,
            Interventions = [new("blocks.1.hook_resid_pre", new CallbackOp(function))],
            Objective = new Objective { Metric = Difference },
            Captures = [new Capture("blocks.0.hook_resid_pre") { Gradient = true }],
        };
        using var plain = PlanRunner.Run(model, Plan((_, _) => null) with { Interventions = [] });
        using var looking = PlanRunner.Run(model, Plan((_, _) => null));
        Assert.Equal(0, Golden.Distance(looking["blocks.0.hook_resid_pre_grad"], plain["blocks.0.hook_resid_pre_grad"]), 1e-14);
        foreach (var edit in new Func<Tensor, CallbackContext, Tensor?>[] { (x, _) => x.zero_(), (x, _) => x.neg() })
            Assert.Equal("GRADIENT_THROUGH_CALLBACK", Assert.Throws<InterpException>(() => PlanRunner.Run(model, Plan(edit))).Reason);
    }
}
